-- The database is one release.
select count(*) as releases
from {{ ref('release') }}
having count(*) != 1
