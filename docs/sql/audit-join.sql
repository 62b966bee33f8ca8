-- The comparison of the command `audit`, for Amazon Athena (engine 3) and Trino, over what audit-tables.sql defines.
--
-- A row that is gone by now, an object that was put back, and a task instance of Airflow 3.4 that may write its object again
-- are known to the database and the bucket alone: ask with HEAD before you act, and delete nothing that is younger than a week.

-- All objects under the places where Airflow writes or wrote, with the verdict of the audit.
CREATE VIEW audit_objects AS
WITH here AS (
  -- What stands behind the innermost place is dag, run, task and the name that the backend gives.
  SELECT o.bucket, o.key, o.size, o.last_modified_date, o.storage_class, o.made, p.rows_as_of,
    CASE WHEN p.prefix = '' THEN o.key ELSE substr(o.key, length(p.prefix) + 2) END AS rel
  FROM inventory_objects o
  JOIN xcom_places p ON p.bucket = o.bucket AND (p.prefix = '' OR starts_with(o.key, p.prefix || '/'))
  LEFT JOIN xcom_places inner_place ON inner_place.bucket = o.bucket AND starts_with(o.key, inner_place.prefix || '/')
    AND length(inner_place.prefix) > length(p.prefix)
  WHERE inner_place.bucket IS NULL
),
named AS (SELECT DISTINCT bucket, key FROM xcom_references),
-- Some servers leave empty segments and segments of one dot out of a key.
spelt AS (
  SELECT DISTINCT bucket, array_join(filter(split(key, '/'), part -> part NOT IN ('', '.')), '/') AS key FROM xcom_references
)
SELECT h.bucket, h.key, h.size, h.last_modified_date, h.storage_class, split_part(h.rel, '/', 1) AS dag_id,
  CASE
    WHEN n.key IS NOT NULL THEN 'named'
    WHEN NOT (
      (regexp_like(h.rel, '^[^/]+/.+/[^/]+/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}(\.(?:gz|zip|bz2|xz|lzma|lz4|zst))?$')
        -- A state store has keys of its own, which may be such a name as well.
        AND NOT regexp_like(h.rel, '^[^/]+/.+/[^/]+/-?[0-9]+/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}(\.(?:gz|zip|bz2|xz|lzma|lz4|zst))?$')
        AND NOT regexp_like(h.rel, '(^|/)assets/[^/]+/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}(\.(?:gz|zip|bz2|xz|lzma|lz4|zst))?$'))
      OR regexp_like(h.rel, '^[^/]+/.+/[^/]+/(ti|write)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/[^/]+\.json(\.(?:gz|zip|bz2|xz|lzma|lz4|zst))?$')
    ) THEN 'other'
    -- A task writes its object up to an hour before its row.
    WHEN h.rows_as_of IS NULL OR h.last_modified_date > h.rows_as_of - INTERVAL '1' HOUR
      OR h.last_modified_date > h.made - INTERVAL '1' HOUR THEN 'young'
    WHEN s.key IS NOT NULL THEN 'named otherwise'
    ELSE 'orphaned'
  END AS verdict
FROM here h LEFT JOIN named n ON n.bucket = h.bucket AND n.key = h.key
LEFT JOIN spelt s ON s.bucket = h.bucket AND s.key = array_join(filter(split(h.key, '/'), part -> part NOT IN ('', '.')), '/');

-- All that rows name, with the verdict of the audit.
CREATE VIEW audit_references AS
WITH place AS (
  SELECT DISTINCT bucket, prefix FROM xcom_places WHERE bucket IN (SELECT DISTINCT bucket FROM inventory_objects)
),
outermost AS (
  SELECT p.bucket, p.prefix FROM place p
  LEFT JOIN place o ON o.bucket = p.bucket AND o.prefix <> p.prefix AND (o.prefix = '' OR starts_with(p.prefix, o.prefix || '/'))
  WHERE o.bucket IS NULL
)
SELECT r.bucket, r.key, r.kind, r.in_table, r.written, o.size, o.storage_class,
  CASE
    WHEN r.kind NOT IN ('row', 'state') THEN r.kind
    WHEN p.bucket IS NULL THEN 'outside'
    WHEN o.storage_class IN ('GLACIER', 'DEEP_ARCHIVE') THEN 'unreadable'
    WHEN o.key IS NOT NULL THEN 'live'
    -- An inventory lags behind its date by up to a day.
    WHEN r.written > i.made - INTERVAL '24' HOUR THEN 'young'
    ELSE 'missing'
  END AS verdict
FROM xcom_references r
CROSS JOIN (SELECT max(made) AS made FROM inventory_objects) i
LEFT JOIN outermost p ON p.bucket = r.bucket AND (p.prefix = '' OR starts_with(r.key, p.prefix || '/'))
LEFT JOIN inventory_objects o ON o.bucket = r.bucket AND o.key = r.key;

-- The summary.
SELECT verdict, count(*) AS objects, sum(size) AS bytes FROM audit_objects GROUP BY verdict ORDER BY verdict;
SELECT verdict, count(*) AS references_of_it FROM audit_references GROUP BY verdict ORDER BY verdict;

-- The dags with the most orphaned bytes.
SELECT dag_id, count(*) AS objects, sum(size) AS bytes FROM audit_objects WHERE verdict = 'orphaned'
GROUP BY dag_id ORDER BY bytes DESC LIMIT 100;

-- The lists, as UNLOAD in Athena or CREATE TABLE AS in Trino writes them.
SELECT bucket, key, size, last_modified_date, storage_class FROM audit_objects WHERE verdict = 'orphaned';
SELECT DISTINCT bucket, key, in_table, written FROM audit_references WHERE verdict = 'missing';
