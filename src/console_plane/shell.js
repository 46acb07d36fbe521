// What every page does better with JavaScript.
(() => {
  // Copying a value that is shown once. It says "Copied" only when it was; where the browser does not let a page copy (plain
  // http, a refused permission), the value is selected and the keys to press are named.
  const copied = async field => {
    try {
      await navigator.clipboard.writeText(field.value);
      return true;
    } catch {
      field.select();
      // Deprecated everywhere and present everywhere: the only way to copy on plain http.
      return document.execCommand('copy');
    }
  };
  document.addEventListener('click', async ({ target }) => {
    const button = target.closest('[data-copy]');
    if (!button) return;
    const said = button.nextElementSibling;
    said.textContent = '';
    said.textContent = await copied(document.getElementById(button.dataset.copy)) ? 'Copied' : 'Press Ctrl+C to copy';
  });

  // Relative times stay true while a page is open. They go by the server's clock, whatever this one says.
  const ahead = Date.parse(document.documentElement.dataset.now) - Date.now();
  const units = [['year', 31536000, 1], ['month', 2592000, 2], ['day', 86400, 1], ['hour', 3600, 1], ['minute', 60, 1]];
  const words = at => {
    const away = (at - Date.now() - ahead) / 1000;
    for (const [unit, length, least] of units) {
      const count = Math.floor(Math.abs(away) / length);
      if (count < least) continue;
      const many = `${count} ${unit}${count === 1 ? '' : 's'}`;
      return away > 0 ? `in ${many}` : `${many} ago`;
    }
    return away > 0 ? 'in less than a minute' : 'just now';
  };
  const tick = () => {
    for (const time of document.querySelectorAll('time')) {
      const now = words(Date.parse(time.dateTime));
      if (time.textContent !== now) time.textContent = now;
    }
  };
  setInterval(tick, 15000);
  document.addEventListener('visibilitychange', tick);

  // A screen reader says what is put into a status, not what was in it when the page came.
  addEventListener('DOMContentLoaded', () => {
    const toast = document.querySelector('.toast');
    if (!toast) return;
    const text = toast.querySelector('div');
    const said = [...text.childNodes];
    text.replaceChildren();
    setTimeout(() => text.replaceChildren(...said), 50);
    const close = toast.querySelector('button');
    close.hidden = false;
    close.addEventListener('click', () => toast.remove());
  });
})();
