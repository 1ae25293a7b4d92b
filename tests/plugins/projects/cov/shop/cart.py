class Cart:
    def __init__(self):
        self.items = []

    def add(self, item, price):
        if price < 0:
            raise ValueError(item)
        if price == 0 and item != "gift":
            return False
        self.items.append((item, price))
        return True

    def total(self, discount=None):
        total = sum(price for _, price in self.items)
        if discount:
            total -= total * discount // 100
        return total

    def never(self):
        for _ in self.items:
            pass
        return None
