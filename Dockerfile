# The project with exactly what the lock names, for docker-compose.yml.
FROM python:3.11.14-slim-bookworm

# The volumes of the home and of the board take their owner from here; the board is for the web server to read.
RUN useradd --uid 10001 --create-home hfc \
    && install --directory --owner hfc --group hfc --mode 750 /var/lib/hfc \
    && install --directory --owner hfc --group hfc --mode 755 /var/lib/board
WORKDIR /opt/hfc

COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes --no-deps --only-binary :all: --requirement requirements.lock

COPY pyproject.toml README.md ./
COPY hfc hfc/
COPY ingest ingest/
COPY expectations expectations/
COPY publish publish/
COPY dbt_project dbt_project/
COPY dags dags/
COPY demo demo/
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable .

USER hfc
