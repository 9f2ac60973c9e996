"""What the tests of the console in a real browser share."""

from playwright.sync_api import Page


def choose_page(page: Page, name: str) -> None:
    """Click a page in the navigation: a list beside it may hold links with the same words."""
    navigation = page.get_by_role("navigation", name="Pages")
    navigation.get_by_role("link", name=name, exact=True).click()
