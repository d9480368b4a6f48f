"""Settings of Superset. The secret ones it reads from the environment: SUPERSET_SECRET_KEY, and libpq's PGPASSWORD.

Where PostgreSQL is, libpq's PGHOST and PGPORT say, too: so neither this file nor the bundle names a server.
"""

SQLALCHEMY_DATABASE_URI = "postgresql+psycopg2://superset@/superset"
LANGUAGES = {"zh": {"flag": "cn", "name": "简体中文"}, "en": {"flag": "us", "name": "English"}}
# Superset's own policy, without the sites of others that it would let pages load fonts, maps and counters from.
TALISMAN_CONFIG = {
    "content_security_policy": {
        "base-uri": ["'self'"],
        "default-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "object-src": "'none'",
        "script-src": ["'self'", "'strict-dynamic'"],
        "style-src": ["'self'", "'unsafe-inline'"],
        "worker-src": ["'self'", "blob:"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    "force_https": False,
    "session_cookie_secure": False,
}
