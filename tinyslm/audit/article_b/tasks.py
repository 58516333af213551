"""B18 and B20: things to build and run, without a formula to judge."""

from __future__ import annotations

from ..record import Record

RECORDS = (
    Record(
        "B18",
        "8.2, 9.4",
        "pruning, quantisation, distillation",
        "task",
        "Named as the ways to make small models more efficient and compact.",
        source="S. Han et al., Learning both weights and connections, NIPS 2015; G. Hinton, O. Vinyals and J. Dean, "
        "Distilling the knowledge in a neural network, 2015",
        command="tinyslm lessons run tasks_compression",
        note="The lesson measures size, accuracy and time before and after, on the same test set.",
    ),
    Record(
        "B20",
        "3.4, 6.1 to 6.5",
        "applications",
        "task",
        "Text classification (news, sentiment, spam), question answering, translation, text generation, speech "
        "recognition, cross-lingual classification, search.",
        source="one per recipe; see the lesson",
        command="tinyslm lessons run tasks_many",
        note="The lesson holds a small recipe for each; translation is the lesson tasks_translation, and tinyslm train "
        "classifier runs sentiment (reviews, reviews_zh), spam (sms_spam) and any table of texts and labels.",
    ),
)
