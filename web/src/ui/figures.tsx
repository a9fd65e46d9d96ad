// Figures as they stand in text and rows; all tabular.
import { useEffect, useState } from 'preact/hooks';
import {
  exactTime,
  formatBytes,
  formatCount,
  formatDuration,
  formatMoney,
  formatMs,
  formatPercent,
  formatTime,
  timeOf,
} from './format';

type Maybe<T> = T | null | undefined;
const none = (
  <span class="muted" aria-label="none">
    –
  </span>
);

// USD.
export function Money({ usd }: { usd: Maybe<number> }) {
  return usd === null || usd === undefined ? (
    none
  ) : (
    <span class="figure" title={`${usd} USD`}>
      {formatMoney(usd)}
    </span>
  );
}

// Bytes in IEC units; the exact count on hover.
export function Bytes({ bytes }: { bytes: Maybe<number> }) {
  return bytes === null || bytes === undefined ? (
    none
  ) : (
    <span class="figure" title={`${formatCount(bytes)} bytes`}>
      {formatBytes(bytes)}
    </span>
  );
}

// A whole number with groups; `short`: 1.2 M.
export function Count({ n, short = false }: { n: Maybe<number>; short?: boolean }) {
  return n === null || n === undefined ? (
    none
  ) : (
    <span class="figure" title={short ? formatCount(n) : undefined}>
      {formatCount(n, short)}
    </span>
  );
}

// A part of one.
export function Percent({ part }: { part: Maybe<number> }) {
  return part === null || part === undefined ? (
    none
  ) : (
    <span class="figure">{formatPercent(part)}</span>
  );
}

// A span of time, in ms or in seconds.
export function Duration(props: { ms: Maybe<number> } | { seconds: Maybe<number> }) {
  const ms = 'ms' in props ? props.ms : props.seconds;
  if (ms === null || ms === undefined) return none;
  return <span class="figure">{'ms' in props ? formatMs(ms) : formatDuration(ms)}</span>;
}

// A moment: relative under a day, exact local time and UTC on hover. Keeps itself true.
export function Time({ at, missing }: { at: Maybe<string | number>; missing?: string }) {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) tick((n) => n + 1);
    }, 30_000);
    return () => clearInterval(timer);
  }, []);
  if (at === null || at === undefined || at === '') {
    return missing === undefined ? none : <span class="muted">{missing}</span>;
  }
  const ms = timeOf(at);
  if (Number.isNaN(ms)) return <span>{String(at)}</span>;
  return (
    <time class="figure" dateTime={new Date(ms).toISOString()} title={exactTime(at)}>
      {formatTime(at)}
    </time>
  );
}
