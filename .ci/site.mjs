// Assembles the browser half. File names hold a hash of the content, so that browsers may cache them for a year, files are
// compressed ahead of time, and assets.json holds the current names.
//
//   node site.mjs BINDGEN_DIR CSS_FILE PUBLIC_DIR SITE_DIR
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const [bindgen, css, publicDir, site] = process.argv.slice(2);
const COMPRESSIBLE = new Set(['.css', '.html', '.ico', '.js', '.json', '.svg', '.txt', '.wasm', '.webmanifest', '.xml']);

const files = new Map(); // path in the site -> content
const filesBelow = dir =>
  existsSync(dir) ? readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath ?? entry.path, entry.name).slice(dir.length + 1))
    .sort() : [];
const hash = (...contents) => {
  const sum = createHash('sha256');
  for (const content of contents) sum.update(content);
  return sum.digest('hex').slice(0, 12);
};

// JavaScript and wasm share one hash, because those of different builds do not fit together.
let js = readFileSync(join(bindgen, 'keydesk.js'), 'utf8');
const wasm = readFileSync(join(bindgen, 'keydesk_bg.wasm'));
const snippetDir = join(bindgen, 'snippets');
const snippets = filesBelow(snippetDir).map(path => [path, readFileSync(join(snippetDir, path))]);
const pair = hash(js, wasm, ...snippets.flat());
js = js.replaceAll('./snippets/', `./snippets-${pair}/`);
const style = readFileSync(css);

const assets = { js: `keydesk-${pair}.js`, wasm: `keydesk-${pair}_bg.wasm`, css: `keydesk-${hash(style)}.css` };
files.set(`pkg/${assets.js}`, Buffer.from(js));
files.set(`pkg/${assets.wasm}`, wasm);
files.set(`pkg/${assets.css}`, style);
for (const [path, content] of snippets) files.set(`pkg/snippets-${pair}/${path}`, content);
for (const path of filesBelow(publicDir)) files.set(path, readFileSync(join(publicDir, path)));
files.set('assets.json', Buffer.from(JSON.stringify(assets, null, 2) + '\n'));

const compressors = {
  '.br': content => brotliCompressSync(content, { params: {
    [constants.BROTLI_PARAM_QUALITY]: 11,
    [constants.BROTLI_PARAM_LGWIN]: 22,
    [constants.BROTLI_PARAM_SIZE_HINT]: content.length,
  } }),
  '.gz': content => gzipSync(content, { level: 9 }),
};
const compressed = path => path !== 'assets.json' && COMPRESSIBLE.has(extname(path));
const same = (path, content) => existsSync(join(site, path)) && readFileSync(join(site, path)).equals(content);

const wanted = [...files.keys()].flatMap(path => compressed(path) ? [path, `${path}.br`, `${path}.gz`] : [path]).sort();
const unchanged = JSON.stringify(filesBelow(site)) === JSON.stringify(wanted)
  && [...files].every(([path, content]) => same(path, content));

if (!unchanged) {
  // The new site is built in another folder and then swapped, so that a running server never sees half of it.
  const next = `${site}.new`;
  const last = `${site}.old`;
  for (const dir of [next, last]) rmSync(dir, { recursive: true, force: true });
  for (const [path, content] of files) {
    mkdirSync(dirname(join(next, path)), { recursive: true });
    const keep = same(path, content);
    writeFileSync(join(next, path), content);
    if (!compressed(path)) continue;
    for (const [suffix, compress] of Object.entries(compressors)) {
      if (keep && existsSync(join(site, path + suffix))) cpSync(join(site, path + suffix), join(next, path + suffix));
      else writeFileSync(join(next, path + suffix), compress(content));
    }
  }
  if (existsSync(site)) renameSync(site, last);
  renameSync(next, site);
  rmSync(last, { recursive: true, force: true });
}

const kB = path => (readFileSync(join(site, path)).length / 1000).toFixed(1);
const sizes = Object.values(assets).map(name => `${name} ${kB(`pkg/${name}`)} kB, brotli ${kB(`pkg/${name}.br`)} kB`);
console.error(sizes.map(line => `      ${line}`).join('\n'));
