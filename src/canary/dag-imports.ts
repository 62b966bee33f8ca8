/** The imports of the canary's DAG file, which work on Airflow 2.9 to 3.4. */
export const IMPORTS = `
from __future__ import annotations

import hashlib
import re
import time
from datetime import datetime, timedelta
from importlib import metadata
from platform import python_version

from airflow.configuration import conf

# One by one: no release of Airflow has all of them in one place.
try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow.models.dag import DAG
try:
    from airflow.sdk import task
except ImportError:  # Airflow 2
    from airflow.decorators import task
`;
