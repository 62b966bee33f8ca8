/**
 * A rule for oxlint: no list is spread into `push` or `unshift`. Each item becomes an argument on the stack, which has
 * room for some 120,000. A list of rows may be longer.
 */
export default {
  meta: { name: 'stack' },
  rules: {
    'no-spread-push': {
      /** @param {{ report: (problem: { node: unknown, message: string }) => void }} context */
      create: (context) => ({
        'CallExpression[callee.property.name=/^(push|unshift)$/] > SpreadElement': (
          /** @type {unknown} */ node,
        ) => {
          context.report({ node, message: 'A long list overflows the stack here: push each item.' });
        },
      }),
    },
  },
};
