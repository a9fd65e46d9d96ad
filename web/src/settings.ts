// How the page looks for this person in this browser. Kept in local storage: nothing secret.
import { createStore, useStore } from './store';

export interface Settings {
  theme: 'system' | 'light' | 'dark';
  density: 'normal' | 'compact';
}
const name = 'kvcs.look';
const plain: Settings = { theme: 'system', density: 'normal' };

function read(): Settings {
  try {
    const kept = JSON.parse(localStorage.getItem(name) ?? '{}') as Partial<Settings>;
    return {
      theme: kept.theme === 'light' || kept.theme === 'dark' ? kept.theme : 'system',
      density: kept.density === 'compact' ? 'compact' : 'normal',
    };
  } catch {
    // A browser that blocks storage throws when its name is read.
    return plain;
  }
}

const store = createStore<Settings>(read());

function apply({ theme, density }: Settings): void {
  const { dataset } = document.documentElement;
  if (theme === 'system') delete dataset['theme'];
  else dataset['theme'] = theme;
  dataset['density'] = density;
  dispatchEvent(new Event('kvcs-theme'));
}

export function changeSettings(change: Partial<Settings>): void {
  store.set({ ...store.get(), ...change });
  apply(store.get());
  try {
    localStorage.setItem(name, JSON.stringify(store.get()));
  } catch {
    // A browser that keeps nothing forgets it with the page.
  }
}

export const startSettings = (): void => apply(store.get());
export const useSettings = (): Settings => useStore(store);
