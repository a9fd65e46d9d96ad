// build.mjs [DIST]: bundles src/ into DIST (web/dist): hashed names under /assets/, index.html that names them, and public/ as
// it is. The server lets browsers keep /assets/ for ever, because a changed file has a new name.
import { build } from 'esbuild';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const web = dirname(fileURLToPath(import.meta.url));
const dist = resolve(process.argv[2] ?? join(web, 'dist'));

await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });
await cp(join(web, 'public'), dist, { recursive: true });

const result = await build({
  absWorkingDir: web,
  entryPoints: { app: 'src/main.tsx' },
  outdir: join(dist, 'assets'),
  entryNames: '[name]-[hash]',
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
});

let page = await readFile(join(web, 'index.html'), 'utf8');
for (const output of Object.keys(result.metafile.outputs)) {
  const name = basename(output);
  page = page.replace(`{{app${name.slice(name.lastIndexOf('.'))}}}`, `/assets/${name}`);
}
if (page.includes('{{')) throw new Error('index.html names a file that the build did not make');
await writeFile(join(dist, 'index.html'), page);
