// Addresses in the project that this page shows, where there are several to choose from.
const { project } = document.documentElement.dataset;

export function here(address) {
  if (!project) return address;
  const found = new URL(address, location);
  found.searchParams.set("project", project);
  return found.href;
}
