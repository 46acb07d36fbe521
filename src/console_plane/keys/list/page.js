// What the list does better with JavaScript: "/" leads to the search, and one box ticks the others.
(() => {
  const search = document.querySelector('#filter-q');
  const all = document.querySelector('[data-pick-all]');
  const boxes = () => [...document.querySelectorAll('[data-pick]')];
  addEventListener('change', ({ target }) => {
    if (target === all) for (const box of boxes()) box.checked = all.checked;
    else if (all && target.matches('[data-pick]')) all.checked = boxes().every(box => box.checked);
  });
  addEventListener('keydown', event => {
    const typing = event.target.closest('input:not([type=checkbox]), select, textarea');
    if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || typing) return;
    if (!search || document.querySelector(':modal')) return;
    event.preventDefault();
    search.focus();
    search.select();
  });
})();
