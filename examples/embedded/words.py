"""The words that the corpus is made of."""

from __future__ import annotations

NAMES = (
    "Anna Ben Carla David Emma Felix Grace Henry Ines Jack Kate Leo Maria Nina Oscar Paul Rosa Sam Tina "
    "Uma Victor Wendy Yusuf Zoe Amir Bella Chen Dora Elif Finn Gita Hugo Iris Jonas Kofi Lena Mateo Noor "
    "Olga Petra Quinn Ravi Sofia Tom Vera Will Yara Aiko"
).split()
FEMALE = set(
    "Anna Carla Emma Grace Ines Kate Maria Nina Rosa Tina Uma Wendy Zoe Bella Dora Elif Gita Iris Lena Noor "
    "Olga Petra Sofia Vera Yara Aiko".split()
)

COUNTED = {
    "apple": "apples", "pear": "pears", "orange": "oranges", "egg": "eggs", "cookie": "cookies",
    "marble": "marbles", "sticker": "stickers", "coin": "coins", "stamp": "stamps", "shell": "shells",
    "book": "books", "pencil": "pencils", "balloon": "balloons", "flower": "flowers", "card": "cards",
    "button": "buttons", "stone": "stones", "nut": "nuts", "toy": "toys", "cake": "cakes",
    "lemon": "lemons", "cup": "cups", "candle": "candles", "ticket": "tickets", "photo": "photos",
}  # fmt: skip
BOXES = {
    "box": "boxes", "bag": "bags", "basket": "baskets", "jar": "jars", "shelf": "shelves", "pack": "packs",
    "plate": "plates", "tray": "trays",
}  # fmt: skip
GOODS = {
    "pen": "pens", "book": "books", "cup": "cups", "hat": "hats", "ball": "balls", "ticket": "tickets",
    "lamp": "lamps", "notebook": "notebooks", "sandwich": "sandwiches", "bottle": "bottles",
    "scarf": "scarves", "toy": "toys", "plant": "plants", "cake": "cakes",
}  # fmt: skip
ANIMALS = {
    "cat": "cats", "dog": "dogs", "hen": "hens", "sheep": "sheep", "cow": "cows", "goat": "goats",
    "duck": "ducks", "horse": "horses", "rabbit": "rabbits", "mouse": "mice", "fish": "fish",
    "bird": "birds", "fox": "foxes", "goose": "geese", "wolf": "wolves", "bear": "bears",
}  # fmt: skip
MORE_PLURALS = {
    "child": "children", "man": "men", "woman": "women", "foot": "feet", "tooth": "teeth", "city": "cities",
    "baby": "babies", "knife": "knives", "leaf": "leaves", "bus": "buses", "dish": "dishes",
    "potato": "potatoes",
}  # fmt: skip
PLURALS = {**COUNTED, **BOXES, **GOODS, **ANIMALS, **MORE_PLURALS}

COLOURS = "red blue green yellow black white brown pink orange purple grey".split()
THINGS = (
    "ball car hat bag cup book lamp coat chair kite bike box pen scarf door boat key plate shirt umbrella "
    "bottle clock guitar drum ring shoe towel pillow"
).split()
PLACES = {
    "kitchen": "in the kitchen", "garden": "in the garden", "bedroom": "in the bedroom",
    "school": "at the school", "park": "in the park", "library": "in the library",
    "garage": "in the garage", "table": "on the table", "shelf": "on the shelf", "floor": "on the floor",
    "bed": "under the bed", "tree": "under the tree", "market": "at the market",
    "station": "at the station", "bathroom": "in the bathroom", "office": "in the office",
    "beach": "at the beach", "roof": "on the roof",
}  # fmt: skip

OPPOSITES = {
    "hot": "cold", "big": "small", "tall": "short", "fast": "slow", "old": "young", "happy": "sad",
    "full": "empty", "open": "closed", "hard": "soft", "light": "dark", "rich": "poor", "strong": "weak",
    "wet": "dry", "clean": "dirty", "high": "low", "early": "late", "near": "far", "loud": "quiet",
    "up": "down", "left": "right", "day": "night", "good": "bad", "first": "last", "thick": "thin",
    "wide": "narrow", "deep": "shallow",
}  # fmt: skip
PASTS = {
    "go": "went", "see": "saw", "eat": "ate", "run": "ran", "give": "gave", "take": "took", "come": "came",
    "make": "made", "buy": "bought", "walk": "walked", "play": "played", "sing": "sang", "write": "wrote",
    "read": "read", "sleep": "slept", "swim": "swam", "find": "found", "lose": "lost", "open": "opened",
    "help": "helped", "drink": "drank", "know": "knew", "sit": "sat", "stand": "stood",
}  # fmt: skip
CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Portugal": "Lisbon",
    "England": "London", "Ireland": "Dublin", "Japan": "Tokyo", "China": "Beijing", "India": "Delhi",
    "Egypt": "Cairo", "Kenya": "Nairobi", "Norway": "Oslo", "Sweden": "Stockholm", "Finland": "Helsinki",
    "Greece": "Athens", "Turkey": "Ankara", "Poland": "Warsaw", "Austria": "Vienna", "Russia": "Moscow",
    "Canada": "Ottawa", "Cuba": "Havana", "Peru": "Lima", "Chile": "Santiago",
}  # fmt: skip
FACTS = {
    "What colour is the sky?": ("blue", COLOURS),
    "What colour is grass?": ("green", COLOURS),
    "What colour is snow?": ("white", COLOURS),
    "What colour is a lemon?": ("yellow", COLOURS),
    "What colour is a tomato?": ("red", COLOURS),
    "What colour is coal?": ("black", COLOURS),
    "What does a cat say?": ("meow", "meow woof moo quack".split()),
    "What does a dog say?": ("woof", "meow woof moo quack".split()),
    "What does a cow say?": ("moo", "meow woof moo quack".split()),
    "What does a duck say?": ("quack", "meow woof moo quack".split()),
    "How many days are in a week?": ("7", "5 7 10 12".split()),
    "How many months are in a year?": ("12", "7 10 12 24".split()),
    "How many legs does a dog have?": ("4", "2 4 6 8".split()),
    "How many legs does a spider have?": ("8", "2 4 6 8".split()),
    "How many hours are in a day?": ("24", "7 12 24 60".split()),
    "How many minutes are in an hour?": ("60", "12 24 60 100".split()),
    "Which animal barks?": ("dog", "dog cat cow duck".split()),
    "What do bees make?": ("honey", "honey milk bread eggs".split()),
    "What do cows give?": ("milk", "honey milk bread eggs".split()),
    "What is the first letter of the alphabet?": ("a", "a b y z".split()),
}
KINDS = {
    "animal": "cat dog hen sheep cow goat duck horse rabbit mouse bird fox".split(),
    "fruit": "apple pear orange lemon plum cherry banana grape".split(),
    "colour": "red blue green yellow black white pink purple".split(),
    "drink": "water milk tea coffee juice".split(),
    "vehicle": "car bus train bike boat plane".split(),
    "tool": "hammer saw drill spade".split(),
}
LISTS = {
    "days": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),
    "months": "January February March April May June July August September October November December".split(),
    "numbers": "one two three four five six seven eight nine ten eleven twelve".split(),
    "letters": list("abcdefghijklmnopqrstuvwxyz"),
    "order": "first second third fourth fifth sixth seventh eighth".split(),
}

SUBJECTS = "food film book hotel room service music game play story phone coat trip staff coffee soup".split()
PRAISE = (
    "good great lovely wonderful excellent fantastic brilliant perfect delicious charming superb nice".split()
)
BLAME = "bad terrible awful boring horrible poor dreadful disappointing dull nasty weak rude".split()
PRAISING = (
    "I loved it.", "I would come again.", "We had a great time.", "Everyone was happy.",
    "I can recommend it.", "It was worth the money.", "It made me smile.", "I enjoyed every minute.",
)  # fmt: skip
BLAMING = (
    "I hated it.", "I will never come again.", "It was a waste of money.", "Nobody was happy.",
    "Do not buy it.", "I want my money back.", "It made me angry.", "I left early.",
)  # fmt: skip
