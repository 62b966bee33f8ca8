import { format } from 'oxfmt';

/** As `npm run format` would write it: what is generated passes the same check as what is not. */
export async function formattedYaml(text: string): Promise<string> {
  return (await format('generated.yml', text, { printWidth: 110, singleQuote: true })).code;
}
