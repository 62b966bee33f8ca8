import { createHash } from 'node:crypto';

/** Columns of the tables that become cards on a phone. */
const CARDS: Readonly<Record<string, readonly string[]>> = {
  findings: ['dag', 'run', 'task', 'map index', 'key', 'size', 'host', 'queue', 'when', 'object'],
  cleared: ['problem', 'place', 'lasted', 'cleared', 'evidence'],
  canary: [
    'queue',
    'state',
    'backend',
    'path',
    'threshold',
    'push',
    'pull',
    'what else failed',
    'last heard',
  ],
  jobs: ['job', 'runs', 'failures', 'skips', 'last run', 'last success', 'took', 'last failure'],
  settings: ['setting', 'value', 'origin', 'from'],
};

export function columnsOf(kind: 'findings' | 'cleared' | 'canary' | 'jobs' | 'settings'): readonly string[] {
  return CARDS[kind] ?? [];
}

const cardLabels = Object.entries(CARDS)
  .flatMap(([kind, columns]) =>
    columns.map((column, i) => `.${kind} tbody>tr>:nth-child(${i + 1})::before{content:'${column}'}`),
  )
  .join('\n');

export const STYLE = `
:root{color-scheme:light dark;--text:#1b1f24;--soft:#57606a;--back:#fff;--card:#f6f8fa;--line:#d0d7de;--link:#0550ae;
--good:#116329;--bad:#a40e26;--warn:#7d4e00;--unsure:#57606a;--tint-good:#e9f7ec;--tint-bad:#ffebe9;--tint-warn:#fff5d6;
--db:#b54708;--s3:#0b62c4;--other:#6e7781}
@media (prefers-color-scheme:dark){:root{--text:#e6edf3;--soft:#9ea7b3;--back:#0d1117;--card:#161b22;--line:#30363d;
--link:#79c0ff;--good:#56d364;--bad:#ff938a;--warn:#e3b341;--unsure:#9ea7b3;--tint-good:#0f2417;--tint-bad:#2d1214;
--tint-warn:#2a2008;--db:#ffa657;--s3:#58a6ff;--other:#8b949e}}
*{box-sizing:border-box}
html{scroll-padding-top:1rem}
body{margin:0 auto;max-width:76rem;padding:1rem;background:var(--back);color:var(--text);
font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
a{color:var(--link)}a:focus-visible,.scroll:focus-visible,pre:focus-visible{outline:2px solid var(--link);outline-offset:2px}
h1{margin:0;font-size:2rem;line-height:1.2}h2{margin:2rem 0 .5rem;font-size:1.25rem}h3{margin:0;font-size:1.15rem}
p{margin:.4rem 0}small,.soft,caption,figcaption,dt,.legend{color:var(--soft);font-size:.875rem}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.875em}
p code,dd code,li code{background:var(--card);border:1px solid var(--line);border-radius:.25rem;padding:0 .25rem}
header,article,.act{background:var(--card);border:1px solid var(--line);border-left:.5rem solid var(--line);
border-radius:.4rem;padding:.8rem 1rem;margin:0 0 1rem}
.healthy{border-left-color:var(--good);background:var(--tint-good)}
.problems{border-left-color:var(--bad);background:var(--tint-bad)}
.unknown,.standby{border-left-color:var(--unsure)}
.critical{border-left-color:var(--bad)}.warning{border-left-color:var(--warn)}.info{border-left-color:var(--s3)}
h1 svg{width:.85em;height:.85em;margin-right:.35em;vertical-align:-.08em}
.healthy h1,.ok{color:var(--good)}.problems h1,.no{color:var(--bad)}.unknown h1,.standby h1{color:var(--unsure)}
.badge{display:inline-block;border-radius:.25rem;padding:0 .4rem;font-size:.8rem;font-weight:700;line-height:1.5;
color:var(--back);background:var(--unsure);vertical-align:.1em}
.badge.critical{background:var(--bad)}.badge.warning{background:var(--warn)}.badge.info{background:var(--s3)}
header ol{margin:.6rem 0;padding:0;list-style:none}header li{margin:.35rem 0}header li a{font-weight:600}
.evidence{font-size:1.05rem;margin:.5rem 0}
.odd{margin:.5rem 0;padding:.3rem .8rem;border-left:.25rem solid var(--warn);background:var(--tint-warn);list-style:none}
.act{border-style:dashed;border-left-width:1px;padding:.4rem 1rem}
nav{margin:0 0 1rem;font-size:.875rem}nav a{display:inline-block;margin-right:1rem;padding:.25rem 0}
dl{margin:.5rem 0}dl>div{display:grid;grid-template-columns:8.5rem 1fr;gap:0 1rem;padding:.2rem 0}dd{margin:0}
.todo{border:1px solid var(--line);border-radius:.3rem;background:var(--back);padding:.3rem .6rem!important;margin:.2rem -.6rem}
.todo dt{font-weight:700;color:var(--text)}
.scroll{overflow-x:auto;overflow-wrap:break-word}
table{border-collapse:collapse;font-size:.875rem;margin:.5rem 0;font-variant-numeric:tabular-nums}
caption{text-align:left}
th,td{padding:.25rem .8rem .25rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;
max-width:26rem;overflow-wrap:anywhere;unicode-bidi:isolate}
tbody th{font-weight:500}.plain th{overflow-wrap:break-word}thead th{color:var(--soft);white-space:nowrap}
.findings td,.findings th{max-width:16rem;overflow-wrap:break-word;padding-right:.6rem}.findings small{display:block}
.findings thead th{white-space:normal}.findings td:nth-child(10){overflow-wrap:anywhere;min-width:21rem;max-width:34rem}
.findings :is(time,small,td:nth-child(6)),:is(.plain,.settings) td:nth-child(3){white-space:nowrap}
.settings tbody th{min-width:11rem}.settings td{max-width:none}.default,.default th{color:var(--soft)}
.side{display:flex;flex-wrap:wrap;gap:0 2.5rem;align-items:start}.side>*{min-width:0;max-width:100%}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,20rem),1fr));gap:.75rem;margin:.5rem 0 1rem}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:.4rem;padding:.6rem .8rem}
figcaption{font-weight:600;color:var(--text)}figure svg{display:block;width:100%;height:auto;margin:.3rem 0}
.axis{font-size:10px;fill:var(--soft)}.end{text-anchor:end}.mid{text-anchor:middle}
.base{stroke:var(--line)}.mark{stroke:var(--text);stroke-dasharray:3 2}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}
.line.db{stroke:var(--db)}.line.s3{stroke:var(--s3);stroke-dasharray:5 3}.line.other{stroke:var(--other);stroke-dasharray:1 3}
.spark .line{stroke-dasharray:none;stroke:var(--s3)}.failed{stroke:var(--bad);stroke-width:1.5}
rect.db{fill:var(--db)}rect.s3{fill:var(--s3)}rect.over{fill:var(--bad)}
.legend{list-style:none;margin:0;padding:0;display:flex;flex-wrap:wrap;gap:0 1rem}
.legend i{display:inline-block;width:.7rem;height:.7rem;margin-right:.35rem;border-radius:.15rem;background:var(--other)}
.legend i.db{background:var(--db)}.legend i.s3{background:var(--s3)}.legend i.over{background:var(--bad)}
.spark{width:8rem;height:1.7rem;display:block}
.prose{max-width:52rem}.prose h2{border-top:1px solid var(--line);padding-top:1rem}
.prose pre{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:.4rem;padding:.6rem .8rem}
@media (max-width:44rem){body{padding:.6rem}h1{font-size:1.6rem}dl>div{grid-template-columns:1fr}
table[class]:not(.plain) thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
table[class]:not(.plain) :is(tbody,tr,th,td){display:block;max-width:none;min-width:0}
table[class]:not(.plain){display:block}table[class]:not(.plain) caption{display:block}
table[class]:not(.plain) tr{border:1px solid var(--line);border-radius:.3rem;padding:.3rem .6rem;margin:.4rem 0;
background:var(--back)}
table[class]:not(.plain) :is(tbody th,td){position:relative;padding:.1rem 0 .1rem 6.5rem;border:0;min-height:1.7em;overflow-wrap:anywhere}
table[class]:not(.plain) :is(tbody th,td)::before{position:absolute;left:0;color:var(--soft);font-weight:400}
table[class]:not(.plain) td:empty{display:none}
${cardLabels}}
`;

/** The hash with which a Content-Security-Policy permits this style and no other. */
export const STYLE_HASH = `sha256-${createHash('sha256').update(STYLE).digest('base64')}`;
