/** Run with `Connection.from_json` of the Task SDK: 1.1.0 and 1.1.3 to 1.1.7 raise, 1.1.8, 1.2.2 and 1.3.2 do not. */
export const NO_TYPE =
  'has no conn_type in its JSON, over which tasks of Airflow 3.1.0 to 3.1.7 refuse it and take nothing of it: write "conn_type": "aws"';
/** Run in the same way: 1.1.0 and 1.1.3 to 1.1.8 raise, 1.2.2 and 1.3.2 do not. */
export const URI_IN_JSON =
  'has its URI inside JSON, over which tasks of Airflow 3.1 refuse it and take nothing of it: give the URI alone';
