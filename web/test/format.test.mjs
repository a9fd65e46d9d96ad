// Goal: figures are written as people read them, also the odd ones.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadBundle } from './bundle.mjs';

const web = await loadBundle();

test('money has cents, and below them four digits; never scientific', () => {
  assert.deepEqual([12.34, 1234567.891, 0, 0.01, 0.009999, 0.000412, 0.00000012345, -3.5, NaN].map(web.formatMoney),
    ['$12.34', '$1,234,567.89', '$0.00', '$0.01', '$0.009999', '$0.000412', '$0.0000001235', '−$3.50', '–']);
  assert.ok(!web.formatMoney(1e-9).includes('e'));
});

test('bytes are IEC with three digits', () => {
  assert.deepEqual([0, 512, 1023, 1024, 67108864, 1319413953331, 1e21].map(web.formatBytes),
    ['0 B', '512 B', '1.00 KiB', '1.00 KiB', '64.0 MiB', '1.20 TiB', '867 EiB']);
});

test('counts, parts and durations', () => {
  assert.deepEqual([4096, 1234567].map((n) => web.formatCount(n)), ['4,096', '1,234,567']);
  assert.deepEqual([9999, 12345, 1234567, 2.5e9].map((n) => web.formatCount(n, true)), ['9,999', '12.3 k', '1.23 M', '2.5 G']);
  assert.deepEqual([0, 0.034, 0.4, 1].map(web.formatPercent), ['0 %', '3.4 %', '40 %', '100 %']);
  assert.deepEqual([0, 0.25, 450, 3200, 250_000, 90_000_000].map(web.formatMs),
    ['0 ms', '0.25 ms', '450 ms', '3.2 s', '4 min 10 s', '1 d 1 h']);
  assert.deepEqual([0, 59, 60, 3600, 90_000, -5].map(web.formatDuration),
    ['0 s', '59 s', '1 min', '1 h', '1 d 1 h', '0 s']);
});

test('times are relative under a day, and never a lie about the direction', () => {
  const now = Date.parse('2026-03-15T12:00:00Z');
  const at = (ms) => web.formatTime(now + ms, now);
  assert.deepEqual([-10_000, -120_000, -7_200_000, 300_000].map(at), ['now', '2 min ago', '2 h ago', 'in 5 min']);
  assert.match(at(-3 * 86_400_000), /^12 Mar/);
  assert.match(at(-400 * 86_400_000), /2025$/);
  assert.equal(web.formatTime('nonsense', now), '–');
  assert.match(web.exactTime('2026-03-15T12:00:00.123Z'), /2026-03-15T12:00:00Z$/);
});

test('a clock that is a day off is corrected by what the daemon says', () => {
  web.noteServerTime(new Date(Date.now() + 86_400_000).toUTCString());
  assert.equal(web.formatTime(Date.now() + 86_400_000 - 7_200_000), '2 h ago');
  web.noteServerTime(new Date().toUTCString());
  web.noteServerTime(null);
  assert.ok(Math.abs(web.serverNow() - Date.now()) < 1000);
});

test('a long text has the direction of its first letter, a short one the one that the browser finds', () => {
  const long = 'x'.repeat(10_000);
  assert.deepEqual(['', 'abc', 'שלום', long].map(web.dirOf), ['auto', 'auto', 'auto', 'auto']);
  assert.deepEqual([`a${long}`, `12. ${long}`, `שלום ${long}`, `12. سلام${long}`, `a שלום${long}`].map(web.dirOf), ['ltr', 'ltr', 'rtl', 'rtl', 'ltr']);
});

test('ids are shortened in the middle, states have a tone', () => {
  assert.equal(web.shortId('5b810539-08d5-4a11-bdc5-f96a0fbaaf15'), '5b81053…baaf15');
  assert.equal(web.shortId('short'), 'short');
  assert.deepEqual(['up', 'degraded', 'down', 'proposed', 'what'].map(web.toneOf), ['good', 'warn', 'bad', 'info', 'none']);
});

test('a chart is a table for spreadsheets, with gaps and without formulas', () => {
  const csv = web.chartCsv({ title: 't', unit: 'usd', times: [0, 86400],
    series: [{ label: '=cmd()', values: [1.5, null] }, { label: 'a,b', values: [-2, 3] }] });
  assert.equal(csv, 'time,\'=cmd(),"a,b"\n1970-01-01,1.5,-2\n1970-01-02,,3\n');
  assert.equal(web.writeValue('usd', null), '–');
});

test('of a long list only what is seen is drawn', () => {
  assert.deepEqual(web.seenRows(150, 0, 800, 36), { from: 0, to: 150 });
  const { from, to } = web.seenRows(100_000, 36 * 50_000, 800, 36);
  assert.ok(from < 50_000 && to > 50_022 && to - from < 60);
  assert.equal(web.seenRows(1000, 1e9, 800, 36).to, 1000);
});

test('a limit is a whole number or none, and what is neither becomes no limit', () => {
  assert.deepEqual(['', '  ', undefined, '0', ' 1000 ', '999999999999999'].map((text) => web.wholeOf(text, 'rpm')), [null, null, null, 0, 1000, 999_999_999_999_999]);
  for (const text of ['1,000', '1.5', '-1', '1e3', 'many', '9999999999999999']) {
    assert.throws(() => web.wholeOf(text, 'rpm'), (error) => error.status === 400 && error.fields.rpm.includes(`"${text}"`));
  }
});

test('what sums of floats leave over is nothing; small sums keep no bare point', () => {
  assert.deepEqual([0.1 + 0.2 - 0.3, -1e-15, 1e-12, 0.001, 0.000412, 1e-9].map(web.formatMoney), ['$0.00', '$0.00', '$0.000000000001', '$0.001', '$0.000412', '$0.000000001']);
  assert.deepEqual([web.codeOf(' 123 456\n'), web.codeOf(undefined), web.toneOf('critical')], ['123456', '', 'bad']);
});

test('a chart is as high as its bars, and shows a level that is not far above them', () => {
  const chart = { title: 't', unit: 'usd', times: [0, 86400], kind: 'bars', series: [{ label: 'a', values: [1, null] }, { label: 'b', values: [2, 1] }] };
  assert.equal(web.topOf(chart), 3);
  assert.equal(web.topOf({ ...chart, kind: 'lines' }), 2);
  assert.equal(web.topOf({ ...chart, line: { value: 9, label: 'l' } }), 9);
  assert.equal(web.topOf({ ...chart, line: { value: 9.1, label: 'l' } }), 3);
  assert.equal(web.topOf({ ...chart, series: [], line: { value: 9, label: 'l' } }), 9);
});
