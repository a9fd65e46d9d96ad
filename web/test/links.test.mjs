// Goal: every link of the dashboard leads to a page that there is, and every filter of a link is one that the
// page knows.
// Method: the links as they are written in the source, put to the routes.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadBundle } from './bundle.mjs';

const { areas, findRoute, parseHash } = await loadBundle();
const src = join(dirname(fileURLToPath(import.meta.url)), '../src');
const files = new Map(readdirSync(src, { recursive: true })
  .filter((name) => /\.tsx?$/.test(name) && !name.endsWith('.d.ts'))
  .map((name) => [name, readFileSync(join(src, name), 'utf8').replace(/^\s*\/\/.*$/gm, '')]));

// The end of what begins with the bracket at `from`.
function closing(text, from) {
  for (let at = from, depth = 0; at < text.length; at++) {
    if ('({['.includes(text[at])) depth++;
    else if (')}]'.includes(text[at]) && --depth === 0) return at;
  }
  return text.length;
}
// { path, names }: a value in a template is one part of a path, and its names are those of the query.
function linksOf(text) {
  const links = [];
  for (const found of text.matchAll(/href\(\s*(['`])(\/.*?)\1/g)) {
    const call = text.slice(found.index, closing(text, found.index + 'href'.length));
    const given = call.slice(found[0].length).replace(/'[^']*'|`[^`]*`/g, '""');
    const names = [...given.matchAll(/[{,]\s*(\w+)\s*(?=[:,}])/g)].map(([, name]) => name);
    links.push({ path: found[2].replace(/\$\{.*?\}(?=\/|$)/g, 'x'), names });
  }
  for (const [, , hash] of text.matchAll(/(['"`])#(\/.*?)\1/g)) {
    const { path, query } = parseHash(hash.replace(/\$\{[^}]*\}/g, 'x'));
    links.push({ path, names: [...query.keys()].filter((name) => name !== 'x') });
  }
  return links;
}
const all = [...files].flatMap(([file, text]) => linksOf(text).map((link) => ({ file, ...link })));

test('links are found as they are written', () => {
  assert.deepEqual(linksOf("href('/a') href(`/b/${one.id}`, { q: f(x), tab, 'n-1': `${{}}` }) '#/c?d=1' \"#/e\" `#/f?${next}`"), [
    { path: '/a', names: [] }, { path: '/b/x', names: ['q', 'tab'] }, { path: '/c', names: ['d'] }, { path: '/e', names: [] }, { path: '/f', names: [] },
  ]);
  assert.ok(all.length > 80, `${all.length} links`);
});

test('every link leads to a page', async () => {
  const lost = [];
  for (const { file, path } of all) if (!await findRoute(path)) lost.push(`${file}: ${path}`);
  for (const { path } of areas.flatMap((area) => area.pages)) if (!await findRoute(path)) lost.push(`navigation: ${path}`);
  assert.deepEqual(lost, []);
});

// The names that a file reads of the address: by useParam and query.get, in filters, and in lists of names.
const readNames = (text) => new Set([
  ...text.matchAll(/(?:useParam|useTab|useSelection|query\.get|has)\(\s*'(\w+)'/g), ...text.matchAll(/\bname: '(\w+)'/g), ...text.matchAll(/search="(\w+)"/g),
  ...[...text.matchAll(/\[((?:'\w+',?\s*)+)\]/g)].flatMap(([, list]) => [...list.matchAll(/'(\w+)'/g)]),
].map(([, name]) => name));

test('every filter of a link is one that its page reads', async () => {
  const lost = [];
  for (const { file, path, names } of all) {
    const found = names.length > 0 && await findRoute(path);
    if (!found) continue;
    const area = [...files.keys()].find((name) => /pages\/\w+\/index\.ts$/.test(name) && files.get(name).includes(`path: '${found.route.path}'`));
    const page = new RegExp(`path: '${found.route.path}', load: \\(\\) => import\\('\\./(\\w+)'\\)`).exec(files.get(area))?.[1];
    const folder = dirname(area);
    const text = files.get(join(folder, `${page}.tsx`));
    const beside = [...text.matchAll(/from '\.\/([\w-]+)'/g)].map(([, name]) => files.get(join(folder, `${name}.ts`)) ?? files.get(join(folder, `${name}.tsx`)));
    const known = new Set([text, ...beside].flatMap((one) => [...readNames(one ?? '')]));
    if (text.includes('DateRange')) for (const name of ['range', 'from', 'to']) known.add(name);
    if (text.includes('useTab(')) known.add('tab');
    if (text.includes('useTyped(')) known.add('q');
    for (const name of names) if (!known.has(name)) lost.push(`${relative('.', file)}: ${name} of ${path}`);
  }
  assert.deepEqual(lost, []);
});
