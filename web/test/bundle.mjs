// Bundles test/entry.ts for Node and imports it.
import { build } from 'esbuild';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export async function loadBundle() {
  const here = dirname(fileURLToPath(import.meta.url));
  const folder = await mkdtemp(join(tmpdir(), 'kvcs-web-'));
  try {
    const outfile = join(folder, 'entry.mjs');
    await build({
      entryPoints: [join(here, 'entry.ts')],
      outfile,
      bundle: true,
      platform: 'node',
      format: 'esm',
      jsx: 'automatic',
      jsxImportSource: 'preact',
      logLevel: 'error',
    });
    return await import(pathToFileURL(outfile).href);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
