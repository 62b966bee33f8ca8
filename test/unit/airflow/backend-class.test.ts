import { expect, test } from 'vitest';
import { kindOfBackend } from '../../../src/airflow/backend-class.ts';

test.each([
  ['airflow.providers.common.io.xcom.backend.XComObjectStorageBackend', 'object_storage'],
  ['company.xcom.AuditedXComObjectStorageBackend', 'object_storage'],
  ['airflow.providers.common.io.xcom.backend.XComObjectStoreBackend', 'former'],
  ['airflow.provider.common.io.xcom.backend.XComObjectStorageBackend', 'other'],
  ['airflow.providers.common.io.xcom.backend.XComObjectStorageBackendx', 'other'],
  ['airfow.providers.common.io.xcom.backend.XComObjectStorageBackend', 'other'],
  ['', 'database'],
  ['airflow.models.xcom.BaseXCom', 'database'],
  ['airflow.sdk.bases.xcom.BaseXCom', 'database'],
  ['airflow.sdk.execution_time.xcom.BaseXCom', 'database'],
  ['company.xcom.BaseXCom', 'other'],
  ['include.s3_xcom_backend.S3XComBackend', 'other'],
  ['airflow.providers.amazon.aws.xcom_backends.s3.S3XComBackend', 'other'],
])('the class %j is one of the kind %s', (name, kind) => {
  expect(kindOfBackend(name)).toBe(kind);
});
