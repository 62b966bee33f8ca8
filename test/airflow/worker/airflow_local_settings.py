"""For workers: what every task would import after it was forked is imported once, before."""

from celery.signals import worker_init


@worker_init.connect
def preload(**_):
    import airflow.providers.amazon.aws.fs.s3
    import airflow.providers.amazon.aws.hooks.s3
    import airflow.providers.common.io.xcom.backend  # noqa: F401
    import compat  # noqa: F401
    import leaves  # noqa: F401
    import s3fs  # noqa: F401
