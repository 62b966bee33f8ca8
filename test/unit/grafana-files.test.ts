import { expect, test } from 'vitest';
import { FILES } from '../../grafana/source/files.ts';
import { formattedYaml } from '../../grafana/source/formatted.ts';
import { PROMTOOL_FILES } from '../promtool/cases/file.ts';

// `npm run grafana` writes the differences.
test.each(Object.entries(FILES))('grafana/%s is what grafana/source says', async (path, write) => {
  await expect(await write()).toMatchFileSnapshot(`../../grafana/${path}`);
});

test.each(Object.entries(PROMTOOL_FILES))('test/promtool/%s is what its cases say', async (name, write) => {
  await expect(await formattedYaml(write())).toMatchFileSnapshot(`../promtool/${name}`);
});
