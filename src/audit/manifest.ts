import { z } from 'zod';

/** The manifest of one report of S3 Inventory. */
export interface Manifest {
  readonly sourceBucket: string;
  /** The bucket that its files are in. */
  readonly bucket: string;
  /** When the report was made, epoch ms: younger objects may be missing in the report. */
  readonly createdAt: number;
  readonly format: 'CSV' | 'Parquet';
  /** The names of the columns of a CSV file, in their order. */
  readonly columns: readonly string[];
  readonly files: readonly ManifestFile[];
}

export interface ManifestFile {
  readonly key: string;
  readonly bytes: number;
  readonly md5: string;
}

const schema = z.object({
  sourceBucket: z.string().min(1),
  destinationBucket: z.string().min(1),
  creationTimestamp: z.string().regex(/^\d{12,14}$/),
  fileFormat: z.string(),
  fileSchema: z.string(),
  files: z.array(
    z.object({
      key: z.string().min(1),
      size: z.number().int().nonnegative(),
      MD5checksum: z.string().regex(/^[0-9a-f]{32}$/i),
    }),
  ),
});

/** @throws {Error} when the text is no manifest of an inventory, or the audit cannot read that inventory. */
export function parseManifest(text: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error('Cannot read the manifest of the inventory: it is not JSON');
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new Error(
      `Cannot read the manifest of the inventory: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'wrong'}`,
    );
  }
  const { sourceBucket, destinationBucket, creationTimestamp, fileFormat, fileSchema, files } = parsed.data;
  if (fileFormat !== 'CSV' && fileFormat !== 'Parquet')
    throw new Error(
      `The inventory is in ${fileFormat}, which the audit cannot read: configure one in Parquet or CSV`,
    );
  return {
    sourceBucket,
    bucket: destinationBucket.replace(/^arn:[^:]*:s3:::/, ''),
    createdAt: Number(creationTimestamp),
    format: fileFormat,
    columns: fileFormat === 'CSV' ? fileSchema.split(',').map((name) => name.trim()) : [],
    files: files.map(({ key, size, MD5checksum }) => ({ key, bytes: size, md5: MD5checksum.toLowerCase() })),
  };
}
