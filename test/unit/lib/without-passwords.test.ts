import { expect, test } from 'vitest';
import { withoutPasswords } from '../../../src/lib/without-passwords.ts';

test.each([
  ['Cannot read postgresql://me:pa:ss/w@rd@db/a: ENOENT', 'Cannot read postgresql://me:***@db/a: ENOENT'],
  ['seen is s3://AKIA:secret@bucket/xcom.', 'seen is s3://AKIA:***@bucket/xcom.'],
  ['redis://:secret@cache', 'redis://:***@cache'],
  ['s3://aws_xcom@bucket/a,s3://other@bucket/b', 's3://aws_xcom@bucket/a,s3://other@bucket/b'],
  ['s3://aws@bucket/xcom?secret_key=planted, seen', 's3://aws@bucket/xcom?***, seen'],
  ['"https://minio:9000/?X-Amz-Signature=planted" of it', '"https://minio:9000/?***" of it'],
  [
    'postgresql://db/airflow?sslmode=require&password=planted&x=1',
    'postgresql://db/airflow?sslmode=require&password=***&x=1',
  ],
  ['at http://planted@airflow.example/home', 'at http://***@airflow.example/home'],
  ['seen is s3:/AKIA:plan/t@ed@bucket/xcom.', 'seen is s3:***@bucket/xcom.'],
  ['"AKIA:planted@bucket/x", seen', '"AKIA:***@bucket/x", seen'],
  ['s3:///AKIA:planted@bucket/x', 's3:///AKIA:***@bucket/x'],
  ['s3://a/run:1,s3://conn@b', 's3://a/run:1,s3://conn@b'],
  ["host=db password='pl an\\'ted' sslmode=require", 'host=db password=*** sslmode=require'],
  ['{"login": "AKIA", "password": "planted"}', '{"login": "AKIA", "password": "***"}'],
  ['{\\"aws_secret_access_key\\": \\"planted\\"}', '{\\"aws_secret_access_key\\": \\"***\\"}'],
  [String.raw`{"password": "a\"planted", "port": 1}`, '{"password": "***", "port": 1}'],
  [`{"password": "it's planted"}`, '{"password": "***"}'],
  [
    String.raw`{\"extra\": {\"token\": \"a\\\"planted\", \"region\": \"r\"}}`,
    String.raw`{\"extra\": {\"token\": \"***\", \"region\": \"r\"}}`,
  ],
  ['{"password": "planted', '{"password": "***'],
  ['host=db password=a,planted user=me', 'host=db password=*** user=me'],
  [`host=db password=a"planted`, 'host=db password=***'],
  ['xcom?aws_secret_access_key=planted', 'xcom?aws_secret_access_key=***'],
  ['http://localhost:10048/ and me@example.org', 'http://localhost:10048/ and me@example.org'],
])('%s', (text, shown) => {
  expect(withoutPasswords(text)).toBe(shown);
});
