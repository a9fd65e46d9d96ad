// Files that are dropped anywhere on the page are uploaded.
import { useEffect, useState } from 'preact/hooks';
import { useActiveProject } from './projects';
import { addFiles } from './uploads';

const hasFiles = (event: DragEvent): boolean =>
  [...(event.dataTransfer?.types ?? [])].includes('Files');

// Takes files that are dropped anywhere on the page.
export function DropAnywhere() {
  const project = useActiveProject();
  const [over, setOver] = useState(false);
  useEffect(() => {
    let depth = 0;
    const listen = (event: DragEvent) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      if (event.type === 'dragenter') depth++;
      if (event.type === 'dragleave') depth--;
      if (event.type === 'drop') {
        depth = 0;
        void addFiles([...(event.dataTransfer?.files ?? [])]);
      }
      setOver(depth > 0);
    };
    const names = ['dragenter', 'dragover', 'dragleave', 'drop'] as const;
    for (const name of names) addEventListener(name, listen);
    return () => {
      for (const name of names) removeEventListener(name, listen);
    };
  }, []);
  if (!over) return null;
  return (
    <div class="drop-over" aria-hidden="true">
      <p>
        Drop .kv files here. They are stored in <b dir="auto">{project}</b>, for your organization
        alone.
      </p>
    </div>
  );
}
