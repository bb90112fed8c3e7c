// Runs before the page is drawn, so that the other theme is never shown.
document.documentElement.dataset.theme = localStorage.getItem("routingsim-theme") ?? "";
