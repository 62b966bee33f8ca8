/** Whether one position in the log of Postgres lies before another. Both have the form `16/B374D848`. */
export function isBefore(one: string, other: string): boolean {
  return inBytes(one) < inBytes(other);
}

function inBytes(position: string): bigint {
  const [high = '0', low = '0'] = position.split('/');
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`);
}
