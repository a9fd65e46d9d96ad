// build.mjs [DIST]: bundles src/ into DIST (web/dist): hashed names under assets/, index.html that names
// them, public/ as it is, and each file once more by brotli (.br) and by gzip (.gz) where that is
// smaller. The server lets browsers keep assets/ for ever, because a changed file has a new name.
// Pages are split off and loaded when they are opened; the first screen has a budget. licenses.txt has the
// licences of what is bundled.
import { build } from 'esbuild';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const web = dirname(fileURLToPath(import.meta.url));
const dist = resolve(process.argv[2] ?? join(web, 'dist'));
const firstScreenMaxBytes = 80_000;  // By gzip: what a browser loads before the first page is seen.

await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });
await cp(join(web, 'public'), dist, { recursive: true });

// A worker is a file of its own, whose name the page needs.
const worker = await build({
  absWorkingDir: web,
  entryPoints: { digest: 'src/pages/artifacts/digest-worker.ts' },
  outdir: join(dist, 'assets'),
  entryNames: '[name]-[hash]',
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  metafile: true,
  logLevel: 'warning',
});

const result = await build({
  absWorkingDir: web,
  entryPoints: { app: 'src/main.tsx' },
  define: { digestWorker: JSON.stringify(basename(Object.keys(worker.metafile.outputs)[0])) },
  outdir: join(dist, 'assets'),
  entryNames: '[name]-[hash]',
  chunkNames: '[name]-[hash]',
  assetNames: '[name]-[hash]',
  bundle: true,
  splitting: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
});
const { outputs } = result.metafile;
const outputOf = (name) => Object.keys(outputs).find((path) => outputs[path].entryPoint === name);

// The chunks that a module needs before it runs.
function needed(path, all = new Set()) {
  if (all.has(path)) return all;
  all.add(path);
  for (const one of outputs[path].imports) {
    if (one.kind === 'import-statement') needed(one.path, all);
  }
  return all;
}

const app = outputOf('src/main.tsx');
const page = (await readFile(join(web, 'index.html'), 'utf8'))
  .replace('{{app.js}}', `assets/${basename(app)}`)
  .replace('{{app.css}}', `assets/${basename(outputs[app].cssBundle)}`)
  .replace('{{preload}}', [...needed(app)].filter((path) => path !== app)
    .map((path) => `<link rel="modulepreload" href="assets/${basename(path)}">`).join('\n    '));
if (page.includes('{{')) throw new Error('index.html names a file that the build did not make');
await writeFile(join(dist, 'index.html'), page);

// Whose code is in the bundle: their licences go along, as they ask for.
const packages = new Set(Object.values(outputs).flatMap((one) => Object.keys(one.inputs))
  .map((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]).filter(Boolean));
const licences = [];
for (const name of [...packages].sort()) {
  const folder = join(web, 'node_modules', name);
  const file = (await readdir(folder)).find((one) => /^licen[cs]e/i.test(one));
  if (!file) throw new Error(`${name} is bundled and has no file with its licence`);
  licences.push(`${name}\n\n${(await readFile(join(folder, file), 'utf8')).trim()}\n`);
}
await writeFile(join(dist, 'licenses.txt'), `kvcs serves code of others with its pages.\n\n${licences.join(`\n${'-'.repeat(72)}\n\n`)}`);

// The first screen: the application and the overview.
const first = new Set(['src/main.tsx', 'src/pages/overview/index.ts', 'src/pages/overview/OverviewPage.tsx']
  .flatMap((name) => [...needed(outputOf(name))]));
let firstBytes = 0;
for (const path of first) firstBytes += gzipSync(await readFile(join(web, path)), { level: 9 }).length;
console.log(`web: first screen ${(firstBytes / 1000).toFixed(1)} kB of JavaScript by gzip, at most ${firstScreenMaxBytes / 1000}`);
if (firstBytes > firstScreenMaxBytes) {
  for (const path of first) console.error(`  ${outputs[path].bytes} ${basename(path)}`);
  throw new Error(`the first screen needs ${firstBytes} bytes of JavaScript by gzip, more than ${firstScreenMaxBytes}`);
}

for (const entry of await readdir(dist, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue;
  const file = join(entry.parentPath ?? entry.path, entry.name);
  const bytes = await readFile(file);
  const br = brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
  });
  const gz = gzipSync(bytes, { level: 9 });
  if (br.length < bytes.length) await writeFile(`${file}.br`, br);
  if (gz.length < bytes.length) await writeFile(`${file}.gz`, gz);
}
