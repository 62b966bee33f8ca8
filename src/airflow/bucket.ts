/**
 * A pattern for the kind of access point for a bucket in one region, up to the slash before its name. s3fs treats the
 * whole ARN, with its slash, as a bucket.
 */
export const ACCESS_POINT = 'arn:aws[^:/]*:s3:[a-z0-9-]+:[0-9]{12}:accesspoint';
const isAccessPoint = new RegExp(`^${ACCESS_POINT}$`);

/**
 * Whether this is an ARN, or an alias that AWS gives to an access point. Either is one more name of a bucket that has
 * its own.
 */
export function isAccessPointName(bucket: string): boolean {
  return /^arn:|-s3alias$|--ol-s3$/.test(bucket);
}

/** Splits the part of a path after the connection into bucket and key. Both may be ''. */
export function splitBucket(place: string): { readonly bucket: string; readonly key: string } {
  const [, host = '', rest = ''] = /^([^/]*)\/?(.*)$/s.exec(place) ?? [];
  if (!isAccessPoint.test(host)) return { bucket: host, key: rest };
  const [, name = '', key = ''] = /^([^/]*)\/?(.*)$/s.exec(rest) ?? [];
  return { bucket: `${host}/${name}`, key };
}
