// Numbers and states in words.

export function formatDuration(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const days = Math.floor(s / 86400);
  const hours = Math.floor((s % 86400) / 3600);
  const minutes = Math.floor((s % 3600) / 60);
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  if (minutes > 0) return `${minutes} min ${s % 60} s`;
  return `${s} s`;
}

export type Tone = 'good' | 'warn' | 'bad' | 'none';

export function toneOf(state: string): Tone {
  if (state === 'healthy' || state === 'up' || state === 'active') return 'good';
  if (state === 'degraded' || state === 'frozen') return 'warn';
  return 'bad';
}
