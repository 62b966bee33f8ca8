-- A role that may do what the exporter does and nothing else: read the columns named below.
--
--   psql -d airflow -f role.sql          as the owner of Airflow's tables who may create roles, or a superuser
--   psql -d airflow -c '\password xcom_exporter'
--
-- Run it again after an upgrade of Airflow: releases add tables (3.4: xcom_v2) and columns (2.10: executor).
-- It grants what exists and revokes what is no longer needed, on any Airflow from 2.9 to 3.4.
-- Where Airflow lives in a schema of its own: PGOPTIONS=-csearch_path=airflow psql …
--
-- Postgres before 15 lets every role create tables in the schema public, and every Postgres lets every role
-- create temporary ones; that is the database's own setting: REVOKE CREATE ON SCHEMA public FROM PUBLIC.

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

  -- One exporter takes a connection, a pair with `ha: lock` three, `check` and `audit` one each. A limit that the role
  -- has already is kept: docs/high-availability.md says when another one is needed.
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'xcom_exporter') THEN
    CREATE ROLE xcom_exporter CONNECTION LIMIT 10;
  END IF;
  ALTER ROLE xcom_exporter LOGIN NOINHERIT;
  -- A new role has none of these, and where nobody is a superuser, as on RDS, nobody may even take them away.
  -- BYPASSRLS stays if you gave it: the exporter reads all rows, and needs it where Airflow's tables have row-level security.
  IF EXISTS (
    SELECT FROM pg_roles WHERE rolname = 'xcom_exporter'
      AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication)
  ) THEN
    ALTER ROLE xcom_exporter NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
  END IF;
  ALTER ROLE xcom_exporter SET default_transaction_read_only = on;
  ALTER ROLE xcom_exporter SET statement_timeout = '30s';
  ALTER ROLE xcom_exporter SET lock_timeout = '5s';
  ALTER ROLE xcom_exporter SET idle_in_transaction_session_timeout = '60s';
  EXECUTE format('ALTER ROLE xcom_exporter IN DATABASE %I SET search_path = %I', current_database(), home);

  EXECUTE format('GRANT CONNECT ON DATABASE %I TO xcom_exporter', current_database());
  EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM xcom_exporter', home);
  EXECUTE format('GRANT USAGE ON SCHEMA %I TO xcom_exporter', home);

  -- The system columns: xmin tells one version of a row from the next, ctid is where it lies; a grant on a column
  -- covers them like any other.
  FOR granted IN
    SELECT wanted.in_table, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns
    FROM (VALUES
      ('dag_run', ARRAY['id', 'dag_id', 'run_id', 'state', 'queued_at', 'start_date', 'end_date', 'run_after']),
      ('task_instance', ARRAY['id', 'dag_id', 'run_id', 'task_id', 'map_index', 'region_id', 'region_index',
        'working_set', 'state', 'start_date', 'updated_at', 'queue', 'executor', 'hostname', 'operator']),
      ('xcom', ARRAY['ctid', 'xmin', 'dag_run_id', 'dag_id', 'run_id', 'task_id', 'map_index', 'key', 'value', 'timestamp']),
      ('xcom_v1', ARRAY['ctid', 'xmin', 'dag_run_id', 'task_id', 'map_index', 'key', 'value', 'timestamp']),
      ('legacy_task_data_owner', ARRAY['dag_id', 'run_id', 'task_id', 'map_index', 'task_instance_id']),
      ('xcom_v2', ARRAY['xmin', 'id', 'task_instance_id', 'key', 'value', 'timestamp']),
      -- Only where connections-view.sql has made it.
      ('xcom_exporter_connection', ARRAY['conn_id', 'login', 'password', 'is_encrypted', 'extra', 'is_extra_encrypted', 'host'])
    ) AS wanted(in_table, columns)
    JOIN pg_attribute a ON a.attrelid = to_regclass(format('%I.%I', home, wanted.in_table))
      AND a.attname = ANY(wanted.columns) AND NOT a.attisdropped
      -- Before 3.4 an XCom names its task instance by place, not by id.
      AND NOT (wanted.in_table = 'task_instance' AND a.attname = 'id' AND to_regclass(format('%I.xcom_v2', home)) IS NULL)
    GROUP BY wanted.in_table
  LOOP
    EXECUTE format('GRANT SELECT (%s) ON TABLE %I.%I TO xcom_exporter', granted.columns, home, granted.in_table);
  END LOOP;
END
$role$;
