import { useEffect, useRef, useState } from 'preact/hooks';

const confirmationMs = 1600;

// Shell lines with a button that copies them. Without the clipboard (plain HTTP on another host) it
// selects the text instead.
export function Command({ label, lines }: { label: string; lines: string[] }) {
  const [said, setSaid] = useState('');
  const code = useRef<HTMLElement>(null);
  useEffect(() => {
    if (said === '') return;
    const timer = setTimeout(() => setSaid(''), confirmationMs);
    return () => clearTimeout(timer);
  }, [said]);

  const select = () => {
    const selection = getSelection();
    if (code.current && selection) selection.selectAllChildren(code.current);
    setSaid('Selected');
  };
  const copy = () => {
    if (!navigator.clipboard) return select();
    navigator.clipboard.writeText(lines.join('\n')).then(() => setSaid('Copied'), select);
  };

  return (
    <div class="command">
      <pre tabIndex={0}><code ref={code}>{lines.join('\n')}</code></pre>
      <button type="button" onClick={copy} aria-label={`Copy: ${label}`}>
        <span aria-live="polite">{said || 'Copy'}</span>
      </button>
    </div>
  );
}
