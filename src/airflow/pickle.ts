/**
 * Reads the one pickle that matters here, a single string, without unpickling anything. An opcode that is not
 * part of that form ends the reading. Airflow 2 with `enable_xcom_pickling` stores references in this form:
 * `80 04 95 <8-byte frame> 8c <1-byte length> … 94 2e`, or `58 <4-byte length> …` from 256 bytes on.
 */
export function readPickledString(bytes: Uint8Array): string | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  let text: string | null = null;
  const string = (start: number, length: number): boolean => {
    if (text !== null || start + length > bytes.length) return false;
    try {
      text = new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(start, start + length));
    } catch {
      return false;
    }
    at = start + length;
    return true;
  };
  while (at < bytes.length) {
    switch (bytes[at]) {
      case 0x80: // PROTO
        at += 2;
        break;
      case 0x95: // FRAME
        at += 9;
        break;
      case 0x8c: // SHORT_BINUNICODE
        if (at + 2 > bytes.length || !string(at + 2, view.getUint8(at + 1))) return null;
        break;
      case 0x58: // BINUNICODE
        if (at + 5 > bytes.length || !string(at + 5, view.getUint32(at + 1, true))) return null;
        break;
      case 0x94: // MEMOIZE
        at += 1;
        break;
      case 0x71: // BINPUT
        at += 2;
        break;
      case 0x2e: // STOP
        return at + 1 === bytes.length ? text : null;
      default:
        return null;
    }
  }
  return null;
}
