"""Run in a release's Python: what a DagBag of it says of a DAG file, errors and warnings that name the file alike."""

import json
import sys
import warnings

warnings.simplefilter("always")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag
    bag = DagBag(sys.argv[1])
said = [str(error)[-500:] for error in bag.import_errors.values()]
said += [str(one.message)[:300] for one in caught if one.filename == sys.argv[1]]
if not bag.dags:
    said.append("no dag")
print(json.dumps(said))
