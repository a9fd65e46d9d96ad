// The list under `?`.
import { allShortcuts } from '../router';
import { Dialog } from '../ui';

const words: Record<string, string> = { 'mod+k': 'Ctrl K', Escape: 'Esc' };

export function ShortcutList({ onClose }: { onClose: () => void }) {
  const seen = new Map(allShortcuts().map((one) => [one.keys, one.text]));
  const rows = [...seen, ['Enter', 'Open the row'], ['Escape', 'Close']] as [string, string][];
  return (
    <Dialog title="Keyboard shortcuts" onClose={onClose}>
      <dl class="shortcut-list">
        {rows.map(([keys, text]) => (
          <>
            <dt key={keys}>
              {(words[keys] ?? keys).split(' ').map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{text}</dd>
          </>
        ))}
      </dl>
    </Dialog>
  );
}
