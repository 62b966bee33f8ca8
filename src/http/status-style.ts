import { createHash } from 'node:crypto';

export const STYLE = `
:root{color-scheme:light dark;--text:#1b1f24;--soft:#57606a;--back:#fff;--card:#f6f8fa;--line:#d0d7de;--link:#0550ae;
--good:#116329;--bad:#a40e26;--warn:#7d4e00;--unsure:#57606a}
@media (prefers-color-scheme:dark){:root{--text:#e6edf3;--soft:#9ea7b3;--back:#0d1117;--card:#161b22;--line:#30363d;
--link:#79c0ff;--good:#56d364;--bad:#ff938a;--warn:#e3b341;--unsure:#9ea7b3}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:75rem;padding:1rem;background:var(--back);color:var(--text);
font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
a{color:var(--link)}h1{margin:0;font-size:1.75rem}h2{margin:2rem 0 .5rem;font-size:1.25rem}h3{margin:0;font-size:1.1rem}
p{margin:.4rem 0}small,.soft{color:var(--soft);font-size:.875rem}
header,article,.act{background:var(--card);border:1px solid var(--line);border-left-width:.5rem;border-radius:.4rem;
padding:.8rem 1rem;margin:0 0 1rem}
.healthy,.info{border-left-color:var(--good)}.problems,.critical{border-left-color:var(--bad)}
.warning{border-left-color:var(--warn)}.unknown,.standby{border-left-color:var(--unsure)}
.healthy h1,b.ok{color:var(--good)}.problems h1,.critical b,b.failed{color:var(--bad)}.warning b{color:var(--warn)}
.act{border-style:dashed}
.scroll{overflow-x:auto;overflow-wrap:break-word}table{border-collapse:collapse;font-size:.875rem;margin:.5rem 0}
caption{text-align:left;color:var(--soft)}
th,td{padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;max-width:24rem}
tbody th{font-weight:500}thead th{color:var(--soft)}
`;

/** What a Content-Security-Policy calls this style and no other. */
export const STYLE_HASH = `sha256-${createHash('sha256').update(STYLE).digest('base64')}`;
