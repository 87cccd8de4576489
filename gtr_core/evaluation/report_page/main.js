showHeader();
showSummary();
showRows();
showGallery();
applyFilter();
prepareLightbox();
prepareViewer();
document.documentElement.dataset.ready = "true";
