-- For Amazon Athena, engine 3: the tables that audit-join.sql compares. Put in your own buckets, folders and the report.
--
--   airflow-xcom-exporter audit --references                  writes xcom-audit/references-<time>
--   aws s3 cp --recursive xcom-audit/references-<time> s3://BUCKET/references/
--
-- Trino reads the same tables where both share a Glue catalog.

CREATE EXTERNAL TABLE xcom_references (bucket string, `key` string, kind string, in_table string, written timestamp)
STORED AS PARQUET LOCATION 's3://BUCKET/references/xcom_references/';

CREATE EXTERNAL TABLE xcom_places (bucket string, prefix string, rows_as_of timestamp)
STORED AS PARQUET LOCATION 's3://BUCKET/references/xcom_places/';

-- An S3 Inventory in Parquet with Size, LastModifiedDate and StorageClass. version_id, is_latest and is_delete_marker are
-- there only if it has all versions.
CREATE EXTERNAL TABLE inventory (
  bucket string, `key` string, version_id string, is_latest boolean, is_delete_marker boolean, size bigint,
  last_modified_date timestamp, storage_class string)
PARTITIONED BY (dt string)
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.IgnoreKeyTextOutputFormat'
LOCATION 's3://INVENTORIES/SOURCE-BUCKET/REPORT/hive/';

ALTER TABLE inventory ADD PARTITION (dt = '2026-11-28-01-00');

-- What of it is judged, and when it was made: creationTimestamp in its manifest.json, in UTC. Rows that were read after
-- that are compared as well: what is younger than either is not judged.
CREATE VIEW inventory_objects AS
SELECT bucket, key, size, last_modified_date, storage_class, TIMESTAMP '2026-11-28 01:00:00' AS made
FROM inventory
WHERE dt = '2026-11-28-01-00' AND coalesce(is_latest, true) AND NOT coalesce(is_delete_marker, false);
