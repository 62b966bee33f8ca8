/** Does the same check as botocore's `validate_region_name`. */
export function isRegionName(text: string): boolean {
  return /^(?!\d+$)(?!-)[a-z\d-]{1,63}(?<!-)$/i.test(text);
}
