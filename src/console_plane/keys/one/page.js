// What the page does better with JavaScript: one's own address is added to the list with a click.
(() => {
  const add = document.querySelector('[data-add-address]');
  const list = document.querySelector('#addresses');
  if (!add || !list) return;
  add.hidden = false;
  add.addEventListener('click', () => {
    const lines = list.value.split('\n').filter(line => line.trim() !== '');
    const address = add.dataset.addAddress;
    if (!lines.includes(address)) lines.push(address);
    list.value = lines.join('\n');
    list.focus();
  });
})();
