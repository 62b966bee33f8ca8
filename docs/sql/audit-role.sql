-- What the command `audit` reads besides what role.sql grants: archives and state stores, whose rows name objects too.
--
--   psql -d airflow -f role.sql
--   psql -d airflow -f audit-role.sql     as the owner of Airflow's tables, or a superuser
--
-- Run it again, after role.sql, when `airflow db clean` has made another archive: the audit says so and reads nothing
-- until then. role.sql alone takes these grants away again. Where Airflow lives in a schema of its own:
-- PGOPTIONS=-csearch_path=airflow psql …

DO $role$
DECLARE
  home text := (
    SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = to_regclass('dag_run')
  );
  granted record;
BEGIN
  IF home IS NULL THEN
    RAISE EXCEPTION 'Cannot find the table dag_run in database %: connect to the metadata database of Airflow',
      current_database()
      USING HINT = 'Where Airflow lives in a schema of its own: PGOPTIONS=-csearch_path=<schema>';
  END IF;
  FOR granted IN
    SELECT c.relname AS in_table, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = home
    JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped AND a.attname = ANY(ARRAY['ctid', 'id',
      'dag_run_id', 'task_instance_id', 'asset_id', 'dag_id', 'run_id', 'task_id', 'map_index', 'key', 'value',
      'timestamp', 'updated_at'])
    WHERE c.relkind IN ('r', 'p', 'v') AND (c.relname IN ('xcom_v1', 'task_state_store', 'asset_state_store')
      OR c.relname ~ '^(_xcom_archive$|_airflow_deleted__.*(xcom|state_store))')
    GROUP BY c.relname
  LOOP
    EXECUTE format('GRANT SELECT (%s) ON TABLE %I.%I TO xcom_exporter', granted.columns, home, granted.in_table);
  END LOOP;
END
$role$;
