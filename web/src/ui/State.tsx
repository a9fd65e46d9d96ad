// A state as word and shape, and how much of what is allowed is used.
import type { ComponentChildren } from 'preact';
import { formatPercent, type Tone, toneOf } from './format';

const shapes: Record<Tone, string> = { good: '●', warn: '▲', bad: '■', info: '◆', none: '○' };

// The word of the daemon's with a shape beside it, so that colour alone never says it.
export function State({
  state,
  tone,
  children,
}: {
  state: string;
  tone?: Tone;
  children?: ComponentChildren;
}) {
  const kind = tone ?? toneOf(state);
  return (
    <span class={`state tone-${kind}`}>
      <span class="shape" aria-hidden="true">
        {shapes[kind]}
      </span>
      {children ?? state.replace(/_/g, ' ')}
    </span>
  );
}

// A small label on a tint: a role, a plan, a visibility.
export function Badge({ children, tone = 'none' }: { children: ComponentChildren; tone?: Tone }) {
  return <span class={`badge ${tone}`}>{children}</span>;
}

// Used of allowed as a bar: warns from 80 %, bad from 100 %; without a limit there is no bar.
// `text` is what stands beside it: "1.20 TiB of 2.00 TiB".
export function Meter({
  used,
  allowed,
  label,
  text,
}: {
  used: number;
  allowed: number | null | undefined;
  label: string;
  text: ComponentChildren;
}) {
  if (allowed === null || allowed === undefined)
    return (
      <span class="meter">
        <span>{text}</span>
      </span>
    );
  const part = allowed > 0 ? used / allowed : used > 0 ? 1 : 0;
  const tone = part >= 1 ? 'bad' : part >= 0.8 ? 'warn' : 'good';
  return (
    <span class="meter">
      <span>{text}</span>
      <span
        class={`meter-bar ${tone}`}
        role="meter"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(Math.min(part, 1) * 100)}
        aria-valuetext={formatPercent(part)}
        title={formatPercent(part)}
      >
        <span style={{ transform: `scaleX(${Math.min(1, Math.max(0, part))})` }} />
      </span>
    </span>
  );
}
