// Starts the page.
import { render } from 'preact';
import { App } from './frame/App';
import { startSettings } from './settings';
import './style/index.css';

startSettings();
const root = document.getElementById('app');
if (root) render(<App />, root);
