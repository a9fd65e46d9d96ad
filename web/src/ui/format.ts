// Figures in words. Money is USD; bytes are IEC; times are ISO strings or ms since 1970.
import { fieldRefusal } from '../api/error';
import { serverNow } from '../clock';

const group = (n: number, digits = 0): string =>
  n.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });

// $12.34; below a cent four significant digits ($0.000412); never scientific.
export function formatMoney(usd: number): string {
  const sign = usd < 0 ? '−' : '';
  const size = Math.abs(usd);
  if (!Number.isFinite(usd)) return '–';
  // Less than a pico-dollar is what sums of floats leave over.
  if (size < 1e-12) return '$0.00';
  if (size >= 0.01) return `${sign}$${group(size, 2)}`;
  const places = Math.min(12, 3 - Math.floor(Math.log10(size)));
  return `${sign}$${size.toFixed(places).replace(/\.?0+$/, '')}`;
}

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
// Three significant digits: 64.0 MiB, 1.20 TiB, 512 B.
export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes)) return '–';
  let size = Math.abs(bytes);
  let unit = 0;
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  const digits = unit === 0 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  return `${bytes < 0 ? '−' : ''}${size.toFixed(digits)} ${units[unit]}`;
}

// 4,096; `short`: 1.2 M, for axes and badges.
export function formatCount(n: number, short = false): string {
  if (!Number.isFinite(n)) return '–';
  if (!short || Math.abs(n) < 10_000) return group(n, Number.isInteger(n) ? 0 : 2);
  const [size, word] =
    Math.abs(n) >= 1e9 ? [n / 1e9, ' G'] : Math.abs(n) >= 1e6 ? [n / 1e6, ' M'] : [n / 1e3, ' k'];
  return `${Number(size.toPrecision(3))}${word}`;
}

// "1 day", "3 days", "1 person", "2 people".
export function counted(n: number, one: string, many = `${one}s`): string {
  return `${formatCount(n)} ${n === 1 ? one : many}`;
}

// 0.034 → "3.4 %", 0.4 → "40 %".
export function formatPercent(part: number): string {
  if (!Number.isFinite(part)) return '–';
  const percent = part * 100;
  return `${Math.abs(percent) >= 10 || percent === 0 ? Math.round(percent) : percent.toFixed(1)} %`;
}

// 450 ms, 3.2 s, 4 min 10 s, 2 h 5 min, 3 d 4 h; 1 d.
export function formatMs(ms: number): string {
  if (!Number.isFinite(ms)) return '–';
  if (ms < 1) return ms <= 0 ? '0 ms' : `${Number(ms.toPrecision(2))} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  return formatDuration(ms / 1000);
}

export function formatDuration(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const days = Math.floor(s / 86400);
  const hours = Math.floor((s % 86400) / 3600);
  const minutes = Math.floor((s % 3600) / 60);
  if (days > 0) return hours > 0 ? `${days} d ${hours} h` : `${days} d`;
  if (hours > 0) return minutes > 0 ? `${hours} h ${minutes} min` : `${hours} h`;
  if (minutes > 0) return s % 60 > 0 ? `${minutes} min ${s % 60} s` : `${minutes} min`;
  return `${s} s`;
}

export const timeOf = (at: string | number): number =>
  typeof at === 'number' ? at : Date.parse(at);

// "2 h ago", "in 5 min" under a day; the local date, with the time within a week, beyond.
export function formatTime(at: string | number, now = serverNow()): string {
  const ms = timeOf(at);
  if (!Number.isFinite(ms)) return '–';
  const away = Math.abs(now - ms);
  if (away < 45_000) return 'now';
  if (away < 86_400_000) {
    const words =
      away < 3_570_000 ? `${Math.round(away / 60_000)} min` : `${Math.round(away / 3_600_000)} h`;
    return ms < now ? `${words} ago` : `in ${words}`;
  }
  const date = new Date(ms);
  const year =
    date.getFullYear() === new Date(now).getFullYear() ? {} : { year: 'numeric' as const };
  const clock =
    away < 7 * 86_400_000 ? { hour: '2-digit' as const, minute: '2-digit' as const } : {};
  return date.toLocaleString('en-GB', {
    day: 'numeric',
    month: 'short',
    ...year,
    ...clock,
    hour12: false,
  });
}

// The exact local time and UTC, for the hover.
export function exactTime(at: string | number): string {
  const date = new Date(timeOf(at));
  if (Number.isNaN(date.getTime())) return String(at);
  const local = date.toLocaleString('en-GB', {
    dateStyle: 'medium',
    timeStyle: 'long',
    hour12: false,
  });
  return `${local} · ${date.toISOString().replace(/\.\d+Z$/, 'Z')}`;
}

// Shortened in the middle: "5b810539…fbaaf15".
export function shortId(id: string, chars = 14): string {
  if (id.length <= chars) return id;
  const head = Math.ceil((chars - 1) / 2);
  return `${id.slice(0, head)}…${id.slice(id.length - (chars - 1 - head))}`;
}

export type Tone = 'good' | 'warn' | 'bad' | 'info' | 'none';

const tones: Record<Exclude<Tone, 'none'>, string> = {
  good: 'healthy up active ok ready applied accepted delivered success succeeded valid paid done',
  warn: 'degraded frozen pending expiring past_due retrying trialing suppressed incomplete warning',
  bad: 'critical unhealthy down failed expired revoked suspended error stuck broken dead canceled unpaid',
  info: 'proposed running refreshing queued private invited info',
};
// The tone of a word of the daemon's.
export function toneOf(state: string): Tone {
  for (const [tone, words] of Object.entries(tones)) {
    if (words.split(' ').includes(state.toLowerCase())) return tone as Tone;
  }
  return 'none';
}

// What was typed as a whole number; null for nothing. What is none is refused beside its field: a limit
// that is not understood must not become none.
export function wholeOf(text: string | undefined, field: string): number | null {
  const typed = (text ?? '').trim();
  if (typed === '') return null;
  if (/^\d{1,15}$/.test(typed)) return Number(typed);
  throw fieldRefusal(field, `"${typed}" is no whole number: write it with digits alone, such as 1000.`);
}

// A code as it was typed or pasted, "123 456": without its spaces.
export const codeOf = (text: string | undefined): string => (text ?? '').replace(/\s/g, '');

// JSON with a member a line; what is no JSON as it is.
export function prettyJson(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

// The text as one word of a POSIX shell, whatever is in it.
export const shellWord = (text: string): string => `'${text.replace(/'/g, `'\\''`)}'`;

// The direction of a text in a field. Of a long one it is told here, by its first letter: a browser that finds
// it out line by line takes half a second for each key.
const autoMax = 10_000;
export function dirOf(text: string): 'auto' | 'ltr' | 'rtl' {
  if (text.length <= autoMax) return 'auto';
  return /^\P{L}*[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/u.test(text) ? 'rtl' : 'ltr';
}
