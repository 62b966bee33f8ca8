/** The kind that leads to one region's bucket; s3fs takes it for a bucket as a whole, its slash included. */
const ACCESS_POINT = /^arn:aws[^:/]*:s3:[a-z0-9-]+:\d{12}:accesspoint$/;

/** Takes the bucket and the key apart in what stands behind the connection of a path. Both may be ''. */
export function splitBucket(place: string): { readonly bucket: string; readonly key: string } {
  const [, host = '', rest = ''] = /^([^/]*)\/?(.*)$/s.exec(place) ?? [];
  if (!ACCESS_POINT.test(host)) return { bucket: host, key: rest };
  const [, name = '', key = ''] = /^([^/]*)\/?(.*)$/s.exec(rest) ?? [];
  return { bucket: `${host}/${name}`, key };
}
