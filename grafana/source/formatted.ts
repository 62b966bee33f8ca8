import { format } from 'prettier';

/** As `npm run format` would write it: what is generated passes the same check as what is not. */
export async function formattedYaml(text: string): Promise<string> {
  return format(text, { parser: 'yaml', printWidth: 110, singleQuote: true });
}
