-- Optional: lets the exporter read the connections named here, and no other, where they are kept in Airflow's database and
-- no variable holds them. Give the exporter the name of the view (airflow.connections: xcom_exporter_connection), and the
-- key that Airflow encrypts with (airflow.fernet-key, or AIRFLOW__CORE__FERNET_KEY as Airflow has it).
--
--   psql -d airflow -v ids=aws_default,minio -f connections-view.sql      after role.sql, as the owner of Airflow's tables
--
-- Where Airflow lives in a schema of its own: PGOPTIONS=-csearch_path=airflow psql …
-- Run it again to change the ids. Before an upgrade of Airflow: DROP VIEW xcom_exporter_connection; Postgres lets no
-- migration change a column that a view reads. To take it back for good, drop it as well.

-- A barrier: no condition of the reader's is evaluated on a row that the view does not show.
CREATE OR REPLACE VIEW xcom_exporter_connection WITH (security_barrier) AS
  SELECT conn_id, login, password, is_encrypted, extra, is_extra_encrypted, host
  FROM connection
  WHERE conn_id = ANY (string_to_array(:'ids', ','));

REVOKE ALL ON xcom_exporter_connection FROM PUBLIC;
GRANT SELECT ON xcom_exporter_connection TO xcom_exporter;
