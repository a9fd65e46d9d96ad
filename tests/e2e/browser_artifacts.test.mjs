// Goal: somebody who has a .kv file stores it, shares it and finds it again in a browser, whatever happens
// to the connection, the page and the session on the way.
// Method: Chromium before the real daemon, the upload through a relay that cuts its connections; skipped
// without Chromium or in a binary without its pages.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { faultsOfAxe, settled, signIn, Stage } from './browser.mjs';
import { sha256 } from './chance.mjs';
import { fileOf } from './kv_file.mjs';

const stage = new Stage(), { inBrowser } = stage;
let daemon, browser, page;
before(async () => {
  await stage.start({ signedIn: true });
  ({ daemon, browser, page } = stage);
});
after(() => stage.stop());

// A .kv file of one layer with so many tokens, 512 bytes each.
function kvFile(name, tokens, seed) {
  const part = tokens * 2 * 64 * 2;
  const shape = [1, 2, tokens, 64];
  const header = {
    __metadata__: { 'kvcs.model': 'test/one-layer', 'kvcs.n_tokens': String(tokens) },
    k_0: { dtype: 'F16', shape, data_offsets: [0, part] }, v_0: { dtype: 'F16', shape, data_offsets: [part, 2 * part] },
  };
  const data = Buffer.alloc(2 * part);
  // Small finite halves that differ from file to file.
  for (let at = 0; at < data.length; at += 2) data.writeUInt16LE((at * 2654435761 + seed) % 0x3c00, at);
  const path = join(daemon.folder, name);
  writeFileSync(path, fileOf(header, data));
  return path;
}

// Drops files on the page, as a file manager does.
async function drop(target, files) {
  const data = await target.evaluateHandle((all) => {
    const carried = new DataTransfer();
    for (const { name, base64 } of all) {
      const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
      carried.items.add(new File([bytes], name, { lastModified: 1 }));
    }
    return carried;
  }, files.map((path) => ({ name: path.split('/').pop(), base64: readFileSync(path).toString('base64') })));
  for (const type of ['dragenter', 'dragover', 'drop']) await target.dispatchEvent('body', type, { dataTransfer: data });
}

// A page of the daemon's own at 360 px by night: it fits, has its style, and the policy refused nothing.
async function isDressed(on) {
  const { over, margin, dark } = await on.evaluate(() => ({
    over: document.documentElement.scrollWidth - innerWidth, margin: getComputedStyle(document.body).margin,
    dark: getComputedStyle(document.body).backgroundColor }));
  assert.ok(over <= 0, `${over} px too wide`);
  assert.equal(margin, '0px');
  assert.match(dark, /^rgb\(1?\d, /);
  assert.deepEqual(await faultsOfAxe(on), []);
  assert.deepEqual(on.faults, []);
}

const lineOf = (target, name) => target.getByRole('region', { name: 'Uploads' }).getByRole('listitem').filter({ hasText: name });

inBrowser('a file that is dropped is stored, and its link brings it to a stranger', async () => {
  await daemon.cli('sample', 'demo.kv');
  const path = join(daemon.folder, 'demo.kv');
  await page.goto(`${daemon.url}/#/artifacts`);
  await page.getByText('Drop a .kv file anywhere on this page').waitFor();
  await drop(page, [path, `${path}.json`]);
  const line = lineOf(page, 'demo');
  await line.getByText('stored').waitFor();
  await page.getByRole('table', { name: 'Artifacts' }).getByRole('link', { name: 'demo' }).waitFor();
  await line.getByRole('button', { name: 'Share demo' }).click();
  const dialog = page.getByRole('dialog', { name: 'Share demo' });
  await dialog.getByLabel('Downloads at most').fill('1');
  await dialog.getByLabel('Password').fill('open sesame');
  await dialog.getByRole('button', { name: 'Make the link' }).click();
  const link = await dialog.locator('code.share-link').textContent();
  assert.deepEqual(await faultsOfAxe(page), []);
  await dialog.getByRole('button', { name: 'Close' }).first().click();
  const stranger = await browser.open({ width: 360, theme: 'dark' });
  await stranger.goto(link);
  await isDressed(stranger);
  await stranger.getByText('for 1 more download').waitFor();
  await stranger.locator('input[type=password]').fill('open sesame');
  const [download] = await Promise.all([stranger.waitForEvent('download'), stranger.locator('button').click()]);
  assert.equal(sha256(readFileSync(await download.path())), sha256(readFileSync(path)));
  await stranger.context().close();
});

inBrowser('one artifact says what is inside, is edited with a way back, and its links are listed', async () => {
  await page.goto(`${daemon.url}/#/artifacts`);
  await page.getByRole('table', { name: 'Artifacts' }).getByRole('link', { name: 'demo' }).click();
  await page.getByRole('heading', { name: 'demo', level: 1 }).waitFor();
  await page.getByText('As the head of the stored file says.').waitFor();
  await page.getByText('2 × 64').waitFor();
  await page.getByText('384 token ids').waitFor();
  await page.getByRole('table', { name: 'Share links' }).getByText('1 of 1').waitFor();
  await page.keyboard.press('e');
  const dialog = page.getByRole('dialog', { name: 'Edit demo' });
  await dialog.getByLabel('Name').fill('contract <b>law</b>');
  await dialog.getByLabel('Tags').fill('law, de, law');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('heading', { name: 'contract <b>law</b>', level: 1 }).waitFor();
  await page.getByRole('button', { name: 'Undo' }).click();
  await page.getByRole('heading', { name: 'demo', level: 1 }).waitFor();
  await page.getByRole('button', { name: 'Make public' }).click();
  await page.getByText('demo is public.').waitFor();
  assert.deepEqual(page.faults, []);
});

inBrowser('a page keeps its filters until the next one is there', async () => {
  const other = await browser.open({ context: page.context() });
  await other.goto(`${daemon.url}/#/artifacts?q=demo`);
  await other.getByRole('row').nth(1).waitFor();
  await settled(other);
  const asked = [];
  other.on('request', (one) => {
    const { pathname, search } = new URL(one.url());
    if (pathname === '/api/v1/artifacts') asked.push(search);
  });
  let go;
  const held = new Promise((resolve) => { go = resolve; });
  await other.route(/\/DetailPage-/, async (route) => {
    await held;
    await route.continue();
  });
  await other.getByRole('row').nth(1).getByRole('link').click();
  await other.waitForFunction(() => /^#\/artifacts\/\w/.test(location.hash));
  await other.waitForFunction(() => document.querySelector('.skeleton') !== null);
  go();
  await other.getByRole('heading', { name: 'demo', level: 1 }).waitFor();
  assert.deepEqual(asked.filter((search) => !search.includes('q=demo')), []);
  await other.close();
});

inBrowser('a refusal stands beside its field, in the words of the daemon', async () => {
  await page.keyboard.press('e');
  const dialog = page.getByRole('dialog', { name: 'Edit demo' });
  await dialog.getByLabel('Tags').fill('x'.repeat(60));
  await dialog.getByRole('button', { name: 'Save' }).click();
  await dialog.getByText('Has 60 characters; at most 50 are allowed.').waitFor();
  assert.equal(await dialog.getByLabel('Tags').inputValue(), 'x'.repeat(60));
  await page.keyboard.press('Escape');
});

inBrowser('the catalogue is open to those who have not signed in', async () => {
  const stranger = await browser.open({ width: 360, theme: 'dark' });
  await stranger.goto(`${daemon.url}/#/catalogue`);
  await stranger.getByRole('table', { name: 'Public artifacts' }).getByRole('link', { name: 'demo' }).click();
  const dialog = stranger.getByRole('dialog', { name: 'demo' });
  await dialog.getByText('kvcs/sample-4l').waitFor();
  assert.deepEqual(await faultsOfAxe(stranger), []);
  assert.ok(await stranger.evaluate(() => document.documentElement.scrollWidth - innerWidth) <= 0);
  const listed = await (await fetch(`${daemon.url}/api/v1/catalogue`)).json();
  const page = await browser.open({ context: stranger.context() });
  await page.goto(listed.artifacts[0].public_url);
  await isDressed(page);
  assert.match(await page.locator('pre').textContent(), /^kvcs download 'http/);
  await page.close();
  const [download] = await Promise.all([stranger.waitForEvent('download'), dialog.getByRole('link', { name: 'Download' }).click()]);
  assert.equal(sha256(readFileSync(await download.path())), sha256(readFileSync(join(daemon.folder, 'demo.kv'))));
  await stranger.context().close();
});

// Passes requests on, and cuts the connection of one that brings an upload's bytes once it has brought
// `afterBytes`, as often as `cuts` says. `hold`: such a request stands still there instead. It stands in for a
// proxy whose address http.public_url would say: the daemon hears its own origin.
async function relayTo(target) {
  const relay = { cuts: 0, afterBytes: 1_000_000, hold: false, made: 0 };
  relay.server = createServer((from, to) => {
    const headers = { ...from.headers, ...(from.headers.origin && { origin: target.url }) };
    const onward = request(target.url + from.url, { method: from.method, headers }, (answer) => {
      to.writeHead(answer.statusCode, answer.headers);
      answer.pipe(to);
    });
    const end = () => {
      onward.destroy();
      from.socket.destroy();
    };
    onward.on('error', end);
    from.on('close', () => { if (!from.complete) end(); });
    let brought = 0;
    from.on('data', (chunk) => {
      brought += chunk.length;
      const isOver = from.method === 'PATCH' && brought > relay.afterBytes;
      if (isOver && relay.hold) return from.pause();
      if (isOver && relay.made < relay.cuts) {
        relay.made++;
        return onward.write(chunk, end);
      }
      if (!onward.write(chunk)) {
        from.pause();
        onward.once('drain', () => from.resume());
      }
    });
    from.on('end', () => onward.end());
  });
  await new Promise((resolve) => relay.server.listen(0, '127.0.0.1', resolve));
  relay.url = `http://127.0.0.1:${relay.server.address().port}`;
  relay.stop = () => {
    relay.server.closeAllConnections();
    relay.server.close();
  };
  return relay;
}

// A page of the owner's, signed in at the address of a relay of its own.
async function throughRelay(run) {
  const relay = await relayTo(daemon);
  const other = await browser.open();
  try {
    await other.goto(`${relay.url}/#/artifacts`);
    await signIn(other);
    await other.getByRole('heading', { name: 'Artifacts', level: 1 }).waitFor();
    await run(other, relay);
  } finally {
    await other.context().close();
    relay.stop();
  }
}

const storedOf = async (name) => (await daemon.api('GET', `/api/v1/artifacts?name=${name}`)).body.artifacts[0];

inBrowser('an upload that is interrupted five times arrives', async () => {
  const path = kvFile('cut.kv', 24_000, 1);
  await throughRelay(async (other, relay) => {
    relay.cuts = 5;
    await other.getByLabel('Files to upload').setInputFiles(path);
    await lineOf(other, 'cut').getByText('stored').waitFor({ timeout: 60_000 });
    assert.equal(relay.made, 5);
    const { sha256: digest, num_tokens, model_name } = await storedOf('cut');
    assert.deepEqual([digest, num_tokens, model_name], [sha256(readFileSync(path)), 24_000, 'test/one-layer']);
  });
});

inBrowser('an upload is paused, outlives a reload, and goes on with the same file', async () => {
  const path = kvFile('rest.kv', 24_000, 2);
  await throughRelay(async (other, relay) => {
    Object.assign(relay, { hold: true, afterBytes: 4_000_000 });
    await other.getByLabel('Files to upload').setInputFiles(path);
    const line = lineOf(other, 'rest');
    await line.getByRole('button', { name: 'Pause rest' }).click();
    await line.getByText('paused').waitFor();
    await other.reload();
    await line.getByText('unfinished').waitFor();
    assert.deepEqual(await faultsOfAxe(other), []);
    relay.hold = false;
    await other.getByLabel('Files to upload').setInputFiles(path);
    await line.getByText('stored').waitFor({ timeout: 60_000 });
    assert.equal((await storedOf('rest')).sha256, sha256(readFileSync(path)));
    assert.equal(await other.evaluate(() => localStorage.getItem('kvcs.uploads')), null);
  });
});

inBrowser('what is known is not sent again, and what is no .kv file is not sent at all', async () => {
  await page.goto(`${daemon.url}/#/artifacts`);
  const patches = [];
  page.on('request', (one) => { if (one.method() === 'PATCH') patches.push(one.url()); });
  const other = join(daemon.folder, 'again.kv');
  writeFileSync(other, readFileSync(join(daemon.folder, 'demo.kv')));
  const text = join(daemon.folder, 'letter.kv');
  writeFileSync(text, 'Dear reader, this is a letter.');
  await page.getByLabel('Files to upload').setInputFiles([other, text]);
  await lineOf(page, 'again').getByText('nothing was sent').waitFor();
  await lineOf(page, 'letter').getByText('It is no .kv file').waitFor();
  assert.deepEqual(patches, []);
});

inBrowser('a session that ends in an upload is begun anew on top of it', async () => {
  await page.context().clearCookies();
  await page.getByLabel('Files to upload').setInputFiles(kvFile('late.kv', 64, 3));
  await page.getByRole('dialog', { name: 'Sign in again' }).waitFor();
  await signIn(page);
  await lineOf(page, 'late').getByText('stored').waitFor();
});

inBrowser('a sign-in that was put away in an upload is asked for again by Go on', async () => {
  const path = kvFile('away.kv', 24_000, 4);
  await throughRelay(async (other, relay) => {
    relay.hold = true;
    await other.getByLabel('Files to upload').setInputFiles(path);
    const line = lineOf(other, 'away');
    await line.getByText('sending').waitFor();
    await other.context().clearCookies();
    relay.hold = false;
    relay.server.closeAllConnections();
    const dialog = other.getByRole('dialog', { name: 'Sign in again' });
    await dialog.waitFor();
    await other.keyboard.press('Escape');
    await line.getByText('Your session has ended.').waitFor();
    await line.getByRole('button', { name: 'Go on with away' }).click();
    await dialog.waitFor();
    await signIn(other);
    await line.getByText('stored').waitFor({ timeout: 60_000 });
    assert.equal((await storedOf('away')).sha256, sha256(readFileSync(path)));
  });
});

inBrowser('a part of the page that does not come stops an upload, which goes on with it', async () => {
  for (const [name, part, seed] of [['reader', /\/assets\/digest-/, 5], ['sender', /\/assets\/browser-/, 6]]) {
    const other = await browser.open({ context: page.context() });
    await other.goto(`${daemon.url}/#/artifacts`);
    await other.getByRole('heading', { name: 'Artifacts', level: 1 }).waitFor();
    const missing = (route) => route.fulfill({ status: 404, body: '' });
    await other.context().route(part, missing);
    const path = kvFile(`${name}.kv`, 64, seed);
    await drop(other, [path]);
    const line = lineOf(other, name);
    await line.getByText('load the page anew').waitFor();
    await line.getByText('stopped').waitFor();
    await other.context().unroute(part, missing);
    if (name === 'reader') await line.getByRole('button', { name: `Go on with ${name}` }).click();
    else await drop(other, [path]);
    await line.getByText('stored').waitFor();
    assert.deepEqual(other.faults, []);
    await other.close();
  }
});

inBrowser('chosen rows are compared and deleted, and the words of the deletion are typed', async () => {
  await page.goto(`${daemon.url}/#/artifacts?sort=name`);
  await settled(page);
  await page.getByRole('row').nth(1).filter({ hasText: 'again' }).waitFor();
  const boxes = page.getByRole('checkbox', { name: /^Choose row/ });
  await boxes.nth(0).check();
  await boxes.nth(1).check();
  await page.getByRole('region', { name: 'Chosen rows' }).getByRole('link', { name: 'Compare' }).click();
  await page.getByRole('table', { name: 'The two artifacts' }).waitFor();
  await page.goBack();
  await settled(page);
  assert.ok(await boxes.nth(0).isChecked());
  await boxes.nth(1).uncheck();
  await page.getByRole('button', { name: 'Delete' }).click();
  const dialog = page.getByRole('dialog', { name: 'Delete again' });
  await dialog.getByText('For 1 d you can bring it back').waitFor();
  await dialog.getByRole('button', { name: 'Delete', exact: true }).click();
  await dialog.waitFor({ state: 'detached' });
  assert.equal(await storedOf('again'), undefined);
  await page.getByRole('status').getByRole('button', { name: 'Undo' }).click();
  await page.getByText('Undone.').waitFor();
  assert.equal((await storedOf('again')).visibility, 'private');
});

inBrowser('what was deleted stands in a list of its own, and comes back or ends there', async () => {
  const { artifact_id: id } = await storedOf('again');
  assert.equal((await daemon.api('DELETE', `/api/v1/artifacts/${id}`)).status, 204);
  await page.goto(`${daemon.url}/#/artifacts/deleted`);
  const list = page.getByRole('table', { name: 'Recently deleted' });
  await list.getByText('again').waitFor();
  assert.deepEqual(await faultsOfAxe(page), []);
  await list.getByRole('button', { name: 'Restore again' }).click();
  await page.getByText('again is there again. It is private.').waitFor();
  assert.equal((await storedOf('again')).artifact_id, id);
  assert.equal((await daemon.api('DELETE', `/api/v1/artifacts/${id}`)).status, 204);
  await page.goto(`${daemon.url}/#/artifacts`);
  await page.getByRole('heading', { name: 'Artifacts', level: 1 }).waitFor();
  await page.goto(`${daemon.url}/#/artifacts/deleted`);
  await list.getByRole('button', { name: 'Delete for good: again' }).click();
  const dialog = page.getByRole('dialog', { name: 'Delete again' });
  assert.ok(await dialog.getByRole('button', { name: 'Delete for good' }).isDisabled());
  await dialog.getByRole('textbox').fill('again');
  await dialog.getByRole('button', { name: 'Delete for good' }).click();
  await page.getByText('Nothing was deleted lately.').waitFor();
  assert.equal((await daemon.api('POST', `/api/v1/artifacts/${id}/restore`)).status, 404);
  assert.deepEqual(page.faults, []);
});

inBrowser('one artifact shows the figures of its layers, and what has happened to it', async () => {
  const { artifact_id: id } = await storedOf('demo');
  await page.goto(`${daemon.url}/#/artifacts/${id}`);
  await page.getByRole('button', { name: 'Read the values' }).click();
  await page.getByText(/^All [\d,]+ values were read\.$/).waitFor();
  await page.getByText('Figures of each layer', { exact: true }).click();
  const figures = page.getByRole('table', { name: 'Figures of each layer' });
  await figures.getByText('3 values').waitFor();
  const report = (await daemon.api('GET', `/api/v1/artifacts/${id}/inspect`)).body;
  await figures.getByText(report.per_layer[0].keys.rms.toPrecision(3)).first().waitFor();
  const history = page.getByRole('table', { name: 'History of the artifact' });
  await history.getByText('made public').first().waitFor();
  await history.getByText('Ada Lovelace').first().waitFor();
  assert.deepEqual(await faultsOfAxe(page), []);
});

inBrowser('the models of all artifacts are there to choose from, with their counts', async () => {
  await page.goto(`${daemon.url}/#/artifacts?q=demo`);
  await settled(page);
  const { models } = (await daemon.api('GET', '/api/v1/artifacts/models')).body;
  const choice = page.getByRole('combobox', { name: 'Model' });
  for (const { model, artifacts } of models) {
    assert.equal(await choice.locator(`option[value="${model}"]`).textContent(), `${model} (${artifacts})`);
  }
  assert.ok(models.length > 1);
});

inBrowser('the pages have no serious fault, in both themes and on a small screen', async () => {
  const { artifact_id: a } = await storedOf('demo'), { artifact_id: b } = await storedOf('cut');
  for (const [theme, width] of [['light', 1280], ['dark', 360]]) {
    await page.emulateMedia({ colorScheme: theme });
    await page.setViewportSize({ width, height: 800 });
    for (const hash of ['#/artifacts', '#/artifacts?q=none', `#/artifacts/${a}`, `#/artifacts/compare?a=${a}&b=${b}`,
      '#/artifacts/compare', '#/artifacts/deleted', '#/catalogue', '#/artifacts/5b810539-08d5-4a11-bdc5-f96a0fbaaf15']) {
      await page.goto(`${daemon.url}/${hash}`);
      await settled(page);
      assert.deepEqual(await faultsOfAxe(page), [], `${theme} ${hash}`);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth) <= 0, hash);
    }
  }
  assert.deepEqual(page.faults, []);
});
