/** Each command of a shell block by itself, without its comment. */
export function commandsOf(markdown: string): string[] {
  return [...markdown.matchAll(/```sh\n(.*?)```/gs)].flatMap(([, block = '']) =>
    block
      .replaceAll(/\\\n\s*/g, '')
      .split('\n')
      .flatMap((line) => line.replace(/\s+# .*$/, '').split(/ && | > /))
      .map((command) => command.trim())
      .filter((command) => command !== '' && !/^[\w-]+\.py$/.test(command)),
  );
}

/** The commands of other programs (aws, airflow) that stand in a sentence, except those cut short by `…`. */
export function inlineCommandsOf(markdown: string): string[] {
  return [...markdown.replaceAll(/```.*?```/gs, '').matchAll(/`((?:aws|airflow) [a-z][^`…]*)`/g)].map(
    ([, command = '']) => command.replaceAll(/\s+/g, ' '),
  );
}
